package topology_test

import (
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

func TestDropReasons(t *testing.T) {
	words := topology.Topic[string, string]{Name: "words", Key: codec.String{}, Value: codec.String{}}
	topo := build(t, func(b *topology.Builder) {
		topology.Count(topology.Window(topology.Consume(b, words), topology.Tumbling{Size: time.Second}),
			topology.Store[topology.Windowed[string], int64]{Name: "counted"})
	})
	task := orderedTask(t, topo.Groups()[0])
	for _, c := range []struct {
		key, value string
		at         int64
		dropped    bool
		want       topology.DropReason
	}{
		{"a", "1", 10_000, false, 0},
		{"", "1", 10_000, true, topology.NoKey},
		{"a", "", 10_000, true, topology.NoValue},
		{"a", "1", 1_000, true, topology.Late},
		{"a", "1", 10_001, false, 0},
	} {
		w := task.process(t, "words", c.key, c.value, c.at)
		if w.Dropped != c.dropped || w.DropReason != c.want {
			t.Errorf("%+v: dropped %v, %v", c, w.Dropped, w.DropReason)
		}
	}
}
