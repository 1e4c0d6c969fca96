package topology_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

type (
	person struct{ Name string }
	mine   struct{ codec.String }
)

// Meanings are committed to Kafka: rows of another one are refused. So these
// texts do not change from one version to the next.
func TestMeaning(t *testing.T) {
	people := topology.Topic[string, person]{Name: "people", Key: codec.String{}, Value: codec.JSON[person]{}}
	b := topology.NewBuilder("app")
	in := topology.Consume(b, people)
	topology.Materialize(b, topology.Topic[string, string]{Name: "own", Key: codec.String{}, Value: mine{}}, topology.Store[string, string]{Name: "own-codec"})
	topology.ToTable(in, topology.Store[string, person]{Name: "table", TTL: time.Hour})
	topology.Count(in, topology.Store[string, int64]{Name: "count"})
	topology.Count(topology.Window(in, topology.Tumbling{Size: time.Minute, Grace: time.Hour}), topology.Store[topology.Windowed[string], int64]{Name: "tumbling"})
	topology.Count(topology.Window(in, topology.Hopping{Size: time.Hour, Advance: time.Minute}), topology.Store[topology.Windowed[string], int64]{Name: "hopping"})
	topology.Reduce(topology.Window(in, topology.Session{Gap: time.Minute}), topology.Store[topology.Windowed[string], person]{Name: "session"}, func(_ topology.Windowed[string], _, p person) person { return p })
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, g := range topo.Groups() {
		for _, s := range g.Stores {
			got[s.Name] = s.Meaning
		}
	}
	want := map[string]string{
		"own-codec": "keys codec.String, table",
		"table":     "keys codec.String, table, values codec.JSON",
		"count":     "count, keys codec.String, values codec.Int64",
		"tumbling":  "count, keys topology.WindowedCodec of codec.String, values codec.Int64, windows tumbling 1m",
		"hopping":   "count, keys topology.WindowedCodec of codec.String, values codec.Int64, windows hopping 1h every 1m",
		"session":   "keys topology.WindowedCodec of codec.String, reduce, values codec.JSON, windows session gap 1m",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
