package processor_test

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

// A few records that have very many effects each are processed in memory for those
// of one of them, and of what a commit takes; not of all that arrive together.
func TestMemoryOfLargeEffects(t *testing.T) {
	in := topology.Topic[string, string]{Name: "in", Key: codec.String{}, Value: codec.String{}}
	for _, test := range []struct {
		name    string
		records int
		declare func(b *topology.Builder)
		group   string
		most    uint64 // bytes
	}{
		{"hopping", 24, func(b *topology.Builder) {
			topology.Count(topology.Window(topology.Consume(b, in), topology.Hopping{Size: 2 * time.Hour, Advance: time.Second}),
				topology.Store[topology.Windowed[string], int64]{Name: "counts", TTL: 4 * time.Hour})
		}, "large-counts", 150 << 20},
		{"flat map", 6, func(b *topology.Builder) {
			many := topology.FlatMap(topology.Consume(b, in), func(k, _ string, emit func(string, string)) {
				for i := range 100_000 {
					emit(k, fmt.Sprintf("value %6d", i))
				}
			})
			topology.Publish(many, topology.Topic[string, string]{Name: "out"})
		}, "large-in", 150 << 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t, 1)
			c.create(in.Name, 1, nil)
			c.create("out", 1, nil)
			var raws []topology.Raw
			for i := range test.records {
				raws = append(raws, topology.Raw{Key: fmt.Append(nil, "key ", i), Value: []byte("v"), Time: time.UnixMilli(1764277200000)})
			}
			c.produce(in.Name, raws...)
			b := topology.NewBuilder("large")
			test.declare(b)
			defer debug.SetGCPercent(debug.SetGCPercent(20)) // to see what is held, and not what was
			debug.FreeOSMemory()
			most := heapPeak(t)
			c.start(build(t, b), nil)
			eventually(t, func() error {
				if at := c.committed(test.group, in.Name, 0); at < int64(test.records) {
					return fmt.Errorf("committed up to %d", at)
				}
				return nil
			})
			t.Logf("peak of the heap: %d MiB", most()>>20)
			if got := most(); got > test.most {
				t.Errorf("the heap grows to %d MiB, want %d MiB at most", got>>20, test.most>>20)
			}
		})
	}
}

// heapPeak returns a function that says how large the heap has been since.
func heapPeak(t *testing.T) func() uint64 {
	var peak atomic.Uint64
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapAlloc))
		}
	}()
	t.Cleanup(func() { close(done); <-ended })
	return peak.Load
}
