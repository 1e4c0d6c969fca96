package topologytest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// A topic that Route has chosen is read with the codecs of the test.
func TestReceivedOfRoute(t *testing.T) {
	b := topology.NewBuilder("router")
	to := func(_, word string) topology.Topic[string, string] {
		return topology.Topic[string, string]{Name: "to-" + word}
	}
	topology.Route(topology.Consume(b, words), to)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, topo, 2)
	topologytest.Send(d, words, "a", "x")
	topologytest.Send(d, words, "b", "y")
	named := topology.Topic[string, string]{Name: "to-x", Key: codec.String{}, Value: codec.String{}}
	if got := topologytest.Received(d, named); len(got) != 1 || got[0].Key != "a" || *got[0].Value != "x" {
		t.Errorf("received %+v", got)
	}
	named.Name = "to-z"
	if got := topologytest.Received(d, named); len(got) != 0 {
		t.Errorf("received %+v of nothing", got)
	}

	q := &quiet{TB: t}
	topologytest.Received(topologytest.New(q, topo, 1), to("", "x"))
	want := []string{`topic "to-x": application "router" has none of this name, it has "words"; a topic of Route needs both codecs here`}
	if diff := cmp.Diff(want, q.failures); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	file := write(t, "record words a x\nrecord words b\n----\nto-x a = \"x\"\ndropped\n")
	topologytest.New(t, topo, 3).Scenario(file)
}

// A repartition topic is a topic like others.
func TestReceivedOfRepartition(t *testing.T) {
	b := topology.NewBuilder("swap")
	swapped := topology.Map(topology.Consume(b, words), func(k, v string) (string, string) { return v, k })
	topology.Count(topology.Repartition(swapped, topology.Topic[string, string]{Name: "swapped"}), counts)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, topo, 5)
	for _, key := range []string{"a", "b", "c"} {
		topologytest.Send(d, words, key, "x")
		d.Restart()
	}
	if diff := cmp.Diff(map[string]int64{"x": 3}, topologytest.Rows(d, counts)); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if got := topologytest.Received(d, topology.Topic[string, string]{Name: "swapped"}); len(got) != 3 || got[1].Partition != got[0].Partition {
		t.Errorf("received %+v", got)
	}
}

// A row whose key has times in it is found whatever their locations are.
func TestRow(t *testing.T) {
	hourly := topology.WindowStore[string, int64]{Name: "hourly"}
	moments := topology.Topic[time.Time, string]{Name: "moments", Key: codec.Time{}, Value: codec.String{}}
	latest := topology.Store[time.Time, string]{Name: "latest"}
	b := topology.NewBuilder("places")
	topology.Count(topology.Window(topology.Consume(b, words), topology.Tumbling{Size: time.Hour}), hourly)
	topology.Materialize(b, moments, latest)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, topo, 3)
	at := time.Date(2026, 11, 25, 8, 30, 0, 0, time.UTC)
	d.At(at)
	topologytest.Send(d, words, "a", "x")
	topologytest.Send(d, moments, at, "half past")
	for _, where := range []*time.Location{time.UTC, time.Local, time.FixedZone("Berlin", 3600)} {
		start := at.Add(-30 * time.Minute).In(where)
		key := topology.Windowed[string]{Key: "a", Start: start, End: start.Add(time.Hour)}
		if n, ok := topologytest.Row(d, hourly, key); n != 1 || !ok {
			t.Errorf("%s: count %d, %t", where, n, ok)
		}
		if v, ok := topologytest.Row(d, latest, at.In(where)); v != "half past" || !ok {
			t.Errorf("%s: row %q, %t", where, v, ok)
		}
		if v, ok := topologytest.Row(d, latest, start); ok {
			t.Errorf("%s: there is a row %q", where, v)
		}
	}
}
