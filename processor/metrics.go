package processor

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tidemark-dev/tidemark/topology"
)

// metrics answers with the status in Prometheus' text format.
func (h *handler) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	writeMetrics(w, h.Status())
}

func writeMetrics(w io.Writer, s Status) {
	var text strings.Builder
	family := func(name, kind, help string) {
		fmt.Fprintf(&text, "# HELP tidemark_%[1]s %[3]s\n# TYPE tidemark_%[1]s %[2]s\n", name, kind, help)
	}
	family("state", "gauge", "1 for the state that the instance is in.")
	for i, name := range stateNames {
		in := 0
		if State(i) == s.State {
			in = 1
		}
		fmt.Fprintf(&text, "tidemark_state{state=%q} %d\n", name, in)
	}
	for _, c := range []struct {
		name, help string
		value      any
	}{
		{"records_total", "Records processed and committed, those that were dropped or refused among them.", s.Counts.Records},
		{"rows_total", "Rows written to changelogs, also by transactions that were aborted.", s.Counts.Rows},
		{"published_total", "Records written to output and repartition topics and to the dead letters, also by transactions that were aborted.", s.Counts.Published},
		{"skipped_total", "Records refused and skipped.", s.Counts.Skipped},
		{"dead_letters_total", "Records refused and moved to the dead letters.", s.Counts.DeadLetters},
		{"commits_total", "Transactions.", s.Counts.Commits},
		{"commit_seconds_total", "Time that commits took.", s.Counts.CommitTime.Seconds()},
		{"sessions_total", "Times that the group was joined afresh.", s.Counts.Sessions},
		{"restored_total", "Changelog records read by restores.", s.Counts.Restored},
		{"sink_rows_total", "Rows written to sinks.", s.Counts.SinkRows},
		{"sink_steps_total", "Batches written to sinks.", s.Counts.SinkSteps},
		{"sink_rebuilds_total", "Times that a target had lost its place, and was filled again. The first filling does not count.", s.Counts.SinkRebuilds},
	} {
		family(c.name, "counter", c.help)
		fmt.Fprintf(&text, "tidemark_%s %v\n", c.name, c.value)
	}
	family("dropped_total", "counter", "Records that a step left out, by reason.")
	for _, d := range []struct {
		reason topology.DropReason
		n      int64
	}{{topology.NoKey, s.Counts.DroppedNoKey}, {topology.NoValue, s.Counts.DroppedNoValue}, {topology.Late, s.Counts.DroppedLate}} {
		fmt.Fprintf(&text, "tidemark_dropped_total{reason=%q} %d\n", d.reason, d.n)
	}
	family("lag", "gauge", "Offsets of the inputs still to process.")
	for i, t := range s.Tasks {
		if i > 0 && s.Tasks[i-1].Group == t.Group && s.Tasks[i-1].Partition == t.Partition {
			continue // another table of the same task
		}
		fmt.Fprintf(&text, "tidemark_lag{group=%q,partition=\"%d\"} %d\n", t.Group, t.Partition, t.Lag)
	}
	family("restore", "gauge", "Changelog offsets still to read.")
	for _, t := range s.Tasks {
		fmt.Fprintf(&text, "tidemark_restore{group=%q,table=%q,partition=\"%d\"} %d\n", t.Group, t.Table, t.Partition, t.Restore)
	}
	if len(s.Globals) > 0 {
		family("global_lag", "gauge", "Records of a global table's topic still to read.")
	}
	for _, g := range s.Globals {
		fmt.Fprintf(&text, "tidemark_global_lag{table=%q} %d\n", g.Table, g.Lag)
	}
	family("sink_lag", "gauge", "Changelog offsets still to write to a sink.")
	for _, t := range s.Tasks {
		for _, k := range t.Sinks {
			fmt.Fprintf(&text, "tidemark_sink_lag{group=%q,table=%q,partition=\"%d\",sink=%q} %d\n", t.Group, t.Table, t.Partition, k.Sink, k.Lag)
		}
	}
	_, _ = io.WriteString(w, text.String())
}
