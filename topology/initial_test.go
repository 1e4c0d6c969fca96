package topology_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

var notes = topology.Topic[string, string]{Name: "notes", Key: codec.String{}, Value: codec.String{}}

func join(_, v, kept string) string { return kept + v }

// A row begins with what Initial returns, and again after it was deleted.
func TestInitial(t *testing.T) {
	rows := topology.Store[string, *string]{Name: "rows", Value: codec.Optional[string]{Of: codec.String{}}, Initial: func() *string {
		begun := ">"
		return &begun
	}}
	d := drive(t, func(b *topology.Builder) {
		topology.Aggregate(topology.Consume(b, notes), rows, func(_, v string, kept *string) *string {
			if v == "end" {
				return nil
			}
			*kept += v
			return kept
		})
	})
	for _, v := range []string{"1", "2", "end", "3"} {
		topologytest.Send(d, notes, "a", v)
		topologytest.Send(d, notes, "b", strings.Repeat(v, 2))
		d.Restart()
	}
	got := map[string]string{}
	for key, row := range topologytest.Rows(d, rows) {
		got[key] = *row
	}
	if diff := cmp.Diff(map[string]string{"a": ">3", "b": ">1122endend33"}, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// The folds of a Cogroup begin with one row, and sessions that become one with
// another.
func TestInitialOfCogroupAndSessions(t *testing.T) {
	cogrouped := topology.Store[string, string]{Name: "cogrouped", Value: codec.String{}, Initial: func() string { return ">" }}
	visits := topology.WindowStore[string, string]{
		Name: "visits", Value: codec.String{},
		Initial: func() string { return ">" },
		Merge:   func(_ topology.Windowed[string], a, b string) string { return "(" + a + "+" + b + ")" },
	}
	d := drive(t, func(b *topology.Builder) {
		all := topology.Consume(b, notes)
		topology.Cogroup(cogrouped, topology.Fold(all, join), topology.Fold(topology.MapValues(all, func(_, v string) string { return strings.ToUpper(v) }), join))
		topology.Aggregate(topology.Window(all, topology.Session{Gap: 10 * time.Millisecond, Grace: time.Second}), visits,
			func(_ topology.Windowed[string], v, kept string) string { return kept + v })
	})
	for _, e := range []event{{"notes", "k", "a", 0}, {"notes", "k", "b", 20}, {"notes", "k", "c", 10}} {
		d.SendRaw(e.raw())
	}
	if diff := cmp.Diff(map[string]string{"k": ">AaBbCc"}, topologytest.Rows(d, cogrouped)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	whole := topology.Windowed[string]{Key: "k", Start: time.UnixMilli(0), End: time.UnixMilli(20)}
	if got, ok := topologytest.Row(d, visits, whole); !ok || got != "((>+>a)+>b)c" {
		t.Errorf("session %q, %t", got, ok)
	}
}

// Other verbs do not ask for Initial and Merge.
func TestMistakesOfInitial(t *testing.T) {
	begun := topology.Store[string, string]{Name: "rows", Value: codec.String{}, Initial: func() string { return ">" }}
	const asks = `store "rows": Initial and Merge are for Aggregate and Cogroup, and it is `
	wantMistakes(t, map[string]func(*topology.Builder){
		asks + "table rows that keeps rows in it": func(b *topology.Builder) { topology.Materialize(b, notes, begun) },
		asks + "reduce rows that keeps rows in it": func(b *topology.Builder) {
			topology.Reduce(topology.Consume(b, notes), begun, join)
		},
		asks + "global table rows that keeps rows in it": func(b *topology.Builder) {
			joined := topology.JoinGlobal(topology.Consume(b, notes), topology.Broadcast(b, notes, begun), func(k, _ string) (string, bool) { return k, true },
				topology.Inner(func(_, l, _ string) string { return l }))
			topology.ForEach(joined, func(_, _ string) {})
		},
		asks + "process 1 that keeps rows in it": func(b *topology.Builder) {
			topology.Process(topology.Consume(b, notes), func(c *topology.Context[string, string]) func(topology.Record[string, string]) error {
				begun := begun
				begun.Key = codec.String{}
				topology.Open(c, begun)
				return func(topology.Record[string, string]) error { return nil }
			})
		},
	})
}
