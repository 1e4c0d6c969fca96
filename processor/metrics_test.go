package processor

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/internal/web"
	"github.com/tidemark-dev/tidemark/internal/web/webtest"
)

func TestMetricsSayWhyRecordsAreDropped(t *testing.T) {
	var text strings.Builder
	web.WriteMetrics(&text, Status{Counts: Counts{Dropped: 6, DroppedNoKey: 1, DroppedNoValue: 2, DroppedLate: 3}}.metrics())
	for _, want := range []string{`{reason="no_key"} 1`, `{reason="no_value"} 2`, `{reason="late"} 3`} {
		if !strings.Contains(text.String(), "tidemark_dropped_total"+want+"\n") {
			t.Errorf("no %s in %s", want, &text)
		}
	}
}

// A status adds up for /readyz, and for the list of tables.
func TestHealthAndTablesOfAStatus(t *testing.T) {
	topo := webtest.Topology(t)
	s := Status{State: Restoring, Tasks: []TaskStatus{
		{Table: "greeters", Partition: 1, Restore: 7}, {Table: "greeters", Restore: 8}, {Table: "numerals", Partition: 2, Restore: 9},
	}, Globals: []GlobalStatus{{Table: "elsewhere", Restore: 10}}}
	if h := s.health(); h.State != "restoring" || h.Ready || h.Ended || h.Restore != 34 {
		t.Errorf("got %+v", h)
	}
	for state, want := range map[State][2]bool{Running: {true, false}, Stopped: {false, true}, Failed: {false, true}, Rebalancing: {}} {
		if h := (Status{State: state}).health(); h.Ready != want[0] || h.Ended != want[1] {
			t.Errorf("%v: got %+v", state, h)
		}
	}
	want := []web.Table{
		{Name: "greeters", Topic: "app-greeters-table", State: "restoring", Partitions: []int32{0, 1}, Restore: 15},
		{Name: "numerals", Topic: "app-numerals-table", State: "restoring", Partitions: []int32{2}, Restore: 9},
	}
	if diff := gocmp.Diff(want, s.tables(topo)); diff != "" {
		t.Error(diff)
	}
}
