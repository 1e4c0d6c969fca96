package topology_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// Rows of windows go when the time comes to start plus TTL, is 2 ms past that for
// sliding ones, or is past a session's end plus TTL; nothing is published then.
func TestWindowRowsExpire(t *testing.T) {
	for _, test := range []struct {
		name string
		by   topology.Windows
		ttl  time.Duration
		at   []int64
		rows []int // after each record
	}{
		{"tumbling", topology.Tumbling{Size: 10 * ms}, 10 * ms, []int64{3, 9, 10, 19, 35}, []int{1, 1, 1, 1, 1}},
		{"tumbling, kept longer", topology.Tumbling{Size: 10 * ms}, 25 * ms, []int64{3, 13, 24, 25, 35, 5}, []int{1, 2, 3, 2, 2, 2}},
		{"hopping", topology.Hopping{Size: 10 * ms, Advance: 5 * ms}, 10 * ms, []int64{7, 9, 10, 100}, []int{2, 2, 2, 2}},
		{"sliding", topology.Sliding{Size: 10 * ms}, 20 * ms, []int64{110, 119, 121, 122, 139, 141, 142}, []int{1, 3, 4, 5, 3, 5, 6}},
		{"session", topology.Session{Gap: 10 * ms}, 10 * ms, []int64{0, 10, 15, 26, 36, 37}, []int{1, 1, 1, 1, 1, 1}},
		{"session, kept longer", topology.Session{Gap: 10 * ms}, 20 * ms, []int64{0, 20, 21, 41, 42}, []int{1, 2, 1, 2, 1}},
		{"a day by default", topology.Tumbling{Size: 10 * ms}, 0, []int64{0, 24*3600*1000 - 1, 24 * 3600 * 1000}, []int{1, 2, 2}},
		{"longer than a day", topology.Tumbling{Size: 10 * ms, Grace: 48 * time.Hour}, 0, []int64{0, 48*3600*1000 + 9, 48*3600*1000 + 10}, []int{1, 2, 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows := counted
			rows.TTL = test.ttl
			topo := build(t, func(b *topology.Builder) {
				table := topology.Count(topology.Window(topology.Consume(b, letters), test.by), rows)
				topology.Publish(topology.MapValues(topology.ToStream(table), func(_ topology.Windowed[string], c topology.Change[int64]) string {
					if c.New == nil {
						return "gone"
					}
					return "there"
				}), topology.Topic[topology.Windowed[string], string]{Name: "traces", Value: letters.Value})
			})
			for _, restarts := range []bool{false, true} {
				d := topologytest.New(t, topo, 1)
				var got []int
				for _, ms := range test.at {
					d.At(at(ms))
					topologytest.Send(d, letters, "k", "")
					got = append(got, len(topologytest.Rows(d, counted)))
					if restarts {
						d.Restart()
					}
				}
				if diff := cmp.Diff(test.rows, got); diff != "" {
					t.Errorf("rows (-want +got):\n%s", diff)
				}
				if _, ok := test.by.(topology.Session); ok {
					continue // sessions that grow go, and come back
				}
				for _, r := range topologytest.Received(d, traces) {
					if *r.Value == "gone" {
						t.Errorf("%v is told to be gone", r.Key)
					}
				}
			}
		})
	}
}

// Many rows that go at once do so in steps.
func TestManyRowsExpire(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		rows := counted
		rows.TTL = 10 * ms
		topology.Count(topology.Window(topology.Consume(b, letters), topology.Tumbling{Size: 10 * ms}), rows)
	})
	d := topologytest.New(t, topo, 1)
	d.At(at(5))
	for i := range 2300 {
		topologytest.Send(d, letters, string(rune(0x4E00+i)), "")
	}
	d.At(at(15))
	var got []int
	for range 4 {
		topologytest.Send(d, letters, "k", "")
		got = append(got, len(topologytest.Rows(d, counted)))
	}
	if diff := cmp.Diff([]int{1301, 301, 1, 1}, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// A suppressed table of windows keeps its rows unless it has a TTL.
func TestSuppressedRowsExpire(t *testing.T) {
	for ttl, want := range map[time.Duration][]int64{0: {0, 10, 20, 30}, 30 * ms: {20, 30}} {
		topo := build(t, func(b *topology.Builder) {
			rows := finalCount
			rows.TTL = ttl
			counts := topology.Count(topology.Window(topology.Consume(b, letters), topology.Tumbling{Size: 10 * ms}), counted)
			topology.Suppress(counts, rows, topology.Until{Closed: true})
		})
		d := topologytest.New(t, topo, 1)
		for _, ms := range []int64{1, 11, 21, 31, 41} {
			d.At(at(ms))
			topologytest.Send(d, letters, "k", "")
		}
		var starts []int64
		for w := range maps.Keys(topologytest.Rows(d, finalCount)) {
			starts = append(starts, w.Start.UnixMilli())
		}
		slices.Sort(starts)
		if diff := cmp.Diff(want, starts); diff != "" {
			t.Errorf("TTL %v: windows (-want +got):\n%s", ttl, diff)
		}
	}
}
