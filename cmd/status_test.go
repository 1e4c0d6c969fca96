package cmd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

func TestWriteStatus(t *testing.T) {
	task := processor.TaskStatus{
		Group: "app-rows", Table: "rows", Partition: 1, State: processor.Running, Lag: 7,
		Committed: []topology.Position{{Topic: "in", Partition: 1, Offset: 3}, {Topic: "names", Partition: 1, Offset: 4}},
		Sinks:     []processor.SinkStatus{{Sink: "redis", Lag: 1234, Err: "away"}},
	}
	other := task
	other.Table, other.Sinks = "sums", nil
	s := processor.Status{Application: "app", State: processor.Running, Tasks: []processor.TaskStatus{task, other}}
	s.Globals = []processor.GlobalStatus{{Table: "all", Topic: "facts", State: processor.Restoring, Restore: 5, Lag: 1234, Err: "afar"}}
	s.Counts.Dropped, s.Counts.DroppedLate = 2, 2
	var out bytes.Buffer
	if err := writeStatus(&out, s); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"left out: 0 without a key, 0 without a value, 2 too late, 0 skipped",
		"app-rows/1 rows running in/1@3, names/1@4 7 0 redis: 1,234 to write (away)",
		"app-rows/1 sums running in/1@3, names/1@4 7 0",
		"all restoring facts 1,234 5 afar",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, &out)
		}
	}
	if lags := behind(s); len(lags) != 1 || lags[taskID{"app-rows", 1}] != 7 {
		t.Errorf("behind: %v", lags)
	}
}
