//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rcrowley/go-metrics"
)

// A job is what a measured process is told to do.
type job struct {
	Program     string   `json:"program"` // tidemark, floor, goka or goka-deferred
	Work        string   `json:"work"`
	Application string   `json:"application"`
	Topic       string   `json:"topic"`
	Side        string   `json:"side"` // the table's topic, of a join
	Partitions  int32    `json:"partitions"`
	Brokers     []string `json:"brokers"`
	Redis       string   `json:"redis"`
	State       string   `json:"state"`        // directory
	EveryChange bool     `json:"every_change"` // one changelog record for each change
	Profile     string   `json:"profile"`
}

// output is the topic that counts are published to.
func (j job) output() string { return j.Application + "-counts" }

// A program is what a job runs.
type program interface {
	run(ctx context.Context) error
	progress() progress
}

// A progress is one line of a measured process.
type progress struct {
	State      string  `json:"state"`
	Records    int64   `json:"records"`
	SinkLag    int64   `json:"sink_lag"`
	Restored   int64   `json:"restored"`
	Partitions []int32 `json:"partitions"`
	PeakMiB    float64 `json:"peak_mib"` // only at the end
}

var programs = map[string]func(job) (program, error){
	"floor":         newFloor,
	"goka":          newGoka,
	"goka-deferred": newGoka,
	"tidemark":      newTidemark,
}

// work is the main function of a measured process: it does the job until it is
// asked to stop, with a line of JSON whenever something has changed.
func work(text string) error {
	metrics.UseNilMetrics = true // sarama's own, which nobody reads here, cost 0.5 to 1 µs a record
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return fmt.Errorf("job: %w", err)
	}
	if j.Profile != "" {
		f, err := os.Create(j.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	p, err := programs[j.Program](j)
	if err != nil {
		return fmt.Errorf("%s: %w", j.Program, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx) }()
	return report(p, ended)
}

func report(p program, ended <-chan error) error {
	out := json.NewEncoder(os.Stdout)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	before := ""
	for {
		select {
		case err := <-ended:
			last := p.progress()
			last.PeakMiB = peakMiB()
			return firstError(err, out.Encode(last))
		case <-tick.C:
			now := p.progress()
			if text := fmt.Sprint(now); text != before {
				before = text
				if err := out.Encode(now); err != nil {
					return err
				}
			}
		}
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// peakMiB returns the most memory that this process had, 0 if the system does
// not say. The kernel's ru_maxrss will not do: a child that is started by vfork
// inherits the peak of its parent.
func peakMiB() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}
