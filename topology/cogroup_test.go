package topology_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

var (
	ones      = topology.Topic[string, string]{Name: "one", Key: codec.String{}, Value: codec.String{}}
	twos      = topology.Topic[string, string]{Name: "two", Key: codec.String{}, Value: codec.String{}}
	cogrouped = topology.Store[string, string]{Name: "row", Value: codec.String{}}
	totals    = topology.Store[string, string]{Name: "total", Value: codec.String{}}
)

// orZero is the initial value of Kafka Streams' tests.
func orZero(kept string) string {
	if kept == "" {
		return "0"
	}
	return kept
}

// The figures are those of Kafka Streams' tests of cogrouped streams.
func TestCogroup(t *testing.T) {
	mixed := func(b *topology.Builder) {
		topology.Publish(topology.Cogroup(cogrouped,
			topology.Fold(topology.Consume(b, ones), func(_, v, kept string) string { return orZero(kept) + "-" + v }),
			topology.Fold(topology.Consume(b, twos), func(_, v, kept string) string { return orZero(kept) + "+" + v }),
		), out)
	}
	holds(t, drive(t, mixed), []truth{
		{event{"one", "k1", "1", 0}, "k1=0-1@0"},
		{event{"one", "k2", "1", 1}, "k2=0-1@1"},
		{event{"one", "k1", "1", 10}, "k1=0-1-1@10"},
		{event{"one", "k2", "1", 100}, "k2=0-1-1@100"},
		{event{"two", "k1", "2", 500}, "k1=0-1-1+2@500"},
		{event{"two", "k2", "2", 500}, "k2=0-1-1+2@500"},
		{event{"two", "k1", "2", 500}, "k1=0-1-1+2+2@500"},
		{event{"two", "k2", "2", 100}, "k2=0-1-1+2+2@500"},
		{event{"two", "null", "2", 600}, ""}, // without a key, and without a value
		{event{"one", "k2", "null", 600}, ""},
	})
	topo := build(t, mixed)
	if g := topo.Groups(); len(g) != 1 || len(g[0].Inputs) != 2 || len(g[0].Stores) != 1 {
		t.Errorf("groups\n%s", topo)
	}

	ints := topology.Topic[string, int64]{Name: "two", Key: codec.String{}, Value: codec.JSON[int64]{}}
	add := func(kept string, n int64) string {
		sum, _ := strconv.ParseInt(orZero(kept), 10, 64)
		return strconv.FormatInt(sum+n, 10)
	}
	types := func(b *topology.Builder) {
		topology.Publish(topology.Cogroup(totals,
			topology.Fold(topology.Consume(b, ones), func(_, v, kept string) string { n, _ := strconv.ParseInt(v, 10, 64); return add(kept, n) }),
			topology.Fold(topology.Consume(b, ints), func(_ string, n int64, kept string) string { return add(kept, n) }),
		), out)
	}
	holds(t, drive(t, types), []truth{
		{event{"one", "k1", "1", 0}, "k1=1@0"},
		{event{"one", "k2", "1", 1}, "k2=1@1"},
		{event{"one", "k1", "1", 10}, "k1=2@10"},
		{event{"one", "k2", "1", 100}, "k2=2@100"},
		{event{"two", "k2", "2", 100}, "k2=4@100"},
		{event{"two", "k2", "2", 200}, "k2=6@200"},
		{event{"two", "k1", "2", 1}, "k1=4@10"},
		{event{"two", "k2", "2", 500}, "k2=8@500"},
		{event{"two", "k1", "2", 500}, "k1=6@500"},
		{event{"two", "k2", "3", 500}, "k2=11@500"},
		{event{"two", "k3", "2", 500}, "k3=2@500"},
		{event{"two", "k2", "2", 100}, "k2=13@500"},
	})
}

// Windowed streams fold into rows of windows.
func TestCogroupOfWindows(t *testing.T) {
	windows := topology.Tumbling{Size: 10 * time.Millisecond}
	folded := topology.Store[topology.Windowed[string], string]{Name: "row", Value: codec.String{}}
	fold := func(_ topology.Windowed[string], v, kept string) string { return kept + v }
	d := drive(t, func(b *topology.Builder) {
		topology.Cogroup(folded,
			topology.Fold(topology.Window(topology.Consume(b, ones), windows), fold),
			topology.Fold(topology.Window(topology.Consume(b, twos), windows), fold))
	})
	for _, e := range []event{{"one", "k", "a", 1}, {"two", "k", "b", 2}, {"two", "k", "c", 11}, {"one", "k", "late", 3}, {"one", "k", "d", 12}} {
		d.SendRaw(e.raw())
	}
	at := func(start int64) topology.Windowed[string] {
		return topology.Windowed[string]{Key: "k", Start: time.UnixMilli(start).UTC(), End: time.UnixMilli(start + 10).UTC()}
	}
	want := map[topology.Windowed[string]]string{at(0): "ab", at(10): "cd"}
	if diff := cmp.Diff(want, topologytest.Rows(d, folded)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestMistakesOfCogroup(t *testing.T) {
	fold := func(_, v, kept string) string { return v }
	b := topology.NewBuilder("hello")
	rekeyed := topology.SelectKey(topology.Consume(b, ones), func(k, v string) string { return v })
	other := topology.Topic[string, string]{Name: "other", Key: codec.JSON[string]{}, Value: codec.String{}}
	topology.Cogroup(cogrouped, topology.Fold(rekeyed, fold), topology.Fold[string, string, string](topology.Consume(b, twos), nil), topology.Fold(topology.Consume(b, other), fold))
	windowed := topology.Store[topology.Windowed[string], string]{Name: "windowed", Value: codec.String{}}
	in := func(w topology.Windows) topology.Folded[topology.Windowed[string], string] {
		return topology.Fold(topology.Window(topology.Consume(b, twos), w), func(_ topology.Windowed[string], v, kept string) string { return v })
	}
	topology.Cogroup(windowed, in(topology.Tumbling{Size: time.Second}), in(topology.Tumbling{Size: time.Minute}))
	_, err := b.Build()
	want := `cogroup row: a step before it has changed keys, so that records of one key lie in several partitions: put Repartition between
cogroup row: the function is nil
cogroup row: its keys are encoded by codec.String in select key 1, and by codec.JSON[string] in topic other
cogroup windowed: window 1 and window 2 are not windowed alike`
	if err == nil || mistakes(t, err) != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
}
