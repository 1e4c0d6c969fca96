package topology_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// KGroupedStreamImplTest.shouldReduceAndMaterializeResults.
func TestReduce(t *testing.T) {
	all := topology.Store[string, string]{Name: "all"}
	changes := topology.Topic[string, string]{Name: "changes"}
	topo := build(t, func(b *topology.Builder) {
		table := topology.Reduce(topology.Consume(b, letters), all, func(_ string, v, kept string) string { return kept + "+" + v })
		topology.Publish(table, changes)
	})
	d := topologytest.New(t, topo, 1)
	for _, r := range []sent{{"1", "A", 5}, {"2", "B", 1}, {"1", "C", 3}, {"1", "D", 10}, {"3", "E", 8}, {"3", "F", 9}} {
		d.At(at(r.at))
		topologytest.Send(d, letters, r.key, r.value)
		d.Restart()
	}
	d.At(at(100))
	topologytest.Delete(d, letters, "3") // is dropped
	if diff := cmp.Diff(map[string]string{"1": "A+C+D", "2": "B", "3": "E+F"}, topologytest.Rows(d, all)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	var times []int64
	for _, r := range topologytest.Received(d, changes) {
		times = append(times, r.Time.UnixMilli())
	}
	if diff := cmp.Diff([]int64{5, 1, 5, 10, 8, 9}, times); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
}

// The first value goes through as the bytes that it is, with what its type does
// not know.
func TestReduceKeepsTheFirstAsItIs(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		table := topology.Reduce(topology.Consume(b, journal), hellos, func(_ string, v, kept hello) hello { return v })
		topology.Publish(table, topology.Topic[string, hello]{Name: "changes"})
	})
	const value = `{"state":"HAPPY","mood":7}`
	w, err := process(topo, record("a", value))
	if err != nil || string(w.Rows[0].Value) != value || string(w.Records[0].Value) != value {
		t.Errorf("%s and %s, %v", w.Rows[0].Value, w.Records[0].Value, err)
	}
}

// The first value is written as the store has it, if that differs.
func TestReduceIntoAnotherCodec(t *testing.T) {
	quoted := topology.Store[string, string]{Name: "quoted", Value: codec.JSON[string]{}}
	topo := build(t, func(b *topology.Builder) {
		topology.Publish(topology.Reduce(topology.Consume(b, letters), quoted, func(_ string, v, kept string) string { return kept + v }),
			topology.Topic[string, string]{Name: "changes"})
	})
	d := topologytest.New(t, topo, 1)
	d.At(time.UnixMilli(1))
	topologytest.Send(d, letters, "a", "x")
	topologytest.Send(d, letters, "a", "y")
	var got []string
	for _, r := range topologytest.Received(d, topology.Topic[string, string]{Name: "changes"}) {
		got = append(got, *r.Value)
	}
	if diff := cmp.Diff([]string{"x", "xy"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
