package cmd

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/tidemark-dev/tidemark/processor"
)

// progress writes what the demo has done each second, over the line before if
// that is a terminal, until stop is called.
func (d *demo) progress() (stop func()) {
	start, end := time.Now(), "\n"
	json := d.settings.logFormat == "json"
	if isTerminal(d.stderr) {
		end = "\r"
	}
	if !json {
		fmt.Fprintf(d.stderr, "%6s %12s %12s %12s %12s %10s %10s\n", "time", "sent", "processed", "rows", "to sinks", "to do", "unsynced")
	}
	write := func(end string) {
		s := d.processor.Status()
		var lag, unsynced int64
		for _, n := range behind(s) {
			lag += n
		}
		for _, t := range s.Tasks {
			for _, k := range t.Sinks {
				unsynced += k.Lag
			}
		}
		if json {
			d.settings.logger(d.stderr).Info("progress", "sent", d.sent.Load(), "processed", s.Counts.Records, "rows", s.Counts.Rows,
				"to_sinks", s.Counts.SinkRows, "to_do", lag, "unsynced", unsynced)
			return
		}
		fmt.Fprintf(d.stderr, "%5.0fs %12s %12s %12s %12s %10s %10s%s", time.Since(start).Seconds(),
			grouped(d.sent.Load()), grouped(s.Counts.Records), grouped(s.Counts.Rows), grouped(s.Counts.SinkRows),
			grouped(lag), grouped(unsynced), end)
	}
	stopped := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		seconds := time.NewTicker(time.Second)
		defer seconds.Stop()
		for {
			select {
			case <-seconds.C:
				write(end)
			case <-stopped:
				write("\n\n")
				return
			}
		}
	})
	return func() {
		close(stopped)
		running.Wait()
	}
}

// A taskID names a task.
type taskID struct {
	group     string
	partition int32
}

// behind returns how many offsets each task has to process. A status tells it for
// each of a task's tables.
func behind(s processor.Status) map[taskID]int64 {
	lags := map[taskID]int64{}
	for _, t := range s.Tasks {
		lags[taskID{t.Group, t.Partition}] = t.Lag
	}
	return lags
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
