package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/tidemark-dev/tidemark/processor"
)

func (s *session) statusCommand() command {
	return command{
		name: "status",
		help: "print what the instance at --addr is doing",
		run:  s.status,
	}
}

func (s *session) status(ctx context.Context, args []string) error {
	if err := arguments(args, 0, 0, "none"); err != nil {
		return err
	}
	r, err := s.remote()
	if err != nil {
		return err
	}
	res, err := r.Get(ctx, "/v1/status", nil)
	if err != nil {
		return s.refused(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", r.Address, err)
	}
	var status processor.Status
	if err := json.Unmarshal(body, &status); err != nil {
		return fmt.Errorf("%s: is it another program that listens there? %w", r.Address, err)
	}
	if s.settings.output == "json" {
		_, err = s.stdout.Write(body)
	} else {
		err = writeStatus(s.stdout, status)
	}
	if err == nil && status.State != processor.Running {
		err = &failure{exitNotReady, fmt.Errorf("the instance is %s", status.State)}
	}
	return err
}

// writeStatus prints a status for people.
func writeStatus(w io.Writer, s processor.Status) error {
	fmt.Fprintf(w, "%s is %s\n", strings.TrimSpace(s.Application+" "+s.Instance), s.State) // it may have no name yet
	if s.Err != "" {
		fmt.Fprintf(w, "  %s\n", plain(s.Err))
	}
	for _, wait := range s.Waiting {
		fmt.Fprintf(w, "  %s\n", plain(wait.String()))
	}
	c := s.Counts
	fmt.Fprintf(w, "%s, %s, %s, %s\n",
		counted(c.Records, "record", "records"), counted(c.Rows, "row", "rows"),
		counted(c.SinkRows, "row to sinks", "rows to sinks"), counted(c.Commits, "commit", "commits"))
	if c.Dropped+c.Skipped+c.DeadLetters > 0 {
		fmt.Fprintf(w, "left out: %s without a key, %s without a value, %s too late, %s skipped, %s to the dead letters\n",
			grouped(c.DroppedNoKey), grouped(c.DroppedNoValue), grouped(c.DroppedLate), grouped(c.Skipped), grouped(c.DeadLetters))
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "\nTASK\tTABLE\tSTATE\tCOMMITTED\tTO PROCESS\tTO RESTORE\tSINKS")
	for _, k := range s.Tasks {
		sinks := ""
		for i, sink := range k.Sinks {
			if i > 0 {
				sinks += ", "
			}
			sinks += fmt.Sprintf("%s: %s to write", sink.Sink, grouped(sink.Lag))
			if sink.Err != "" {
				sinks += " (" + plain(sink.Err) + ")"
			}
		}
		committed := ""
		for i, at := range k.Committed {
			if i > 0 {
				committed += ", "
			}
			committed += at.String()
		}
		fmt.Fprintf(t, "%s/%d\t%s\t%s\t%s\t%s\t%s\t%s\n", k.Group, k.Partition, k.Table, k.State, committed, grouped(k.Lag), grouped(k.Restore), sinks)
	}
	if len(s.Globals) > 0 {
		fmt.Fprintln(t, "\nGLOBAL TABLE\tSTATE\tTOPIC\tTO READ\tTO RESTORE\t")
	}
	for _, g := range s.Globals {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", g.Table, g.State, g.Topic, grouped(g.Lag), grouped(g.Restore), plain(g.Err))
	}
	return t.Flush()
}
