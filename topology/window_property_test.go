package topology_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

func random(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// For random records in any order the counts are those of a loop over them.
func TestWindowCountsAreThoseOfALoop(t *testing.T) {
	random := random(t)
	for range 60 {
		size := 1 + random.Int64N(30)
		advance := 1 + random.Int64N(size)
		// Nothing is late.
		const grace = 10_000 * ms
		for _, test := range []struct {
			by   topology.Windows
			loop func(times []int64) map[[2]int64]int64
		}{
			{topology.Tumbling{Size: time.Duration(size) * ms, Grace: grace}, func(times []int64) map[[2]int64]int64 { return hops(times, size, size) }},
			{topology.Hopping{Size: time.Duration(size) * ms, Advance: time.Duration(advance) * ms, Grace: grace}, func(times []int64) map[[2]int64]int64 { return hops(times, size, advance) }},
			{topology.Sliding{Size: time.Duration(size) * ms, Grace: grace}, func(times []int64) map[[2]int64]int64 { return slides(times, size) }},
			{topology.Session{Gap: time.Duration(size) * ms, Grace: grace}, func(times []int64) map[[2]int64]int64 { return sessions(times, size) }},
		} {
			topo := build(t, func(b *topology.Builder) {
				topology.Count(topology.Window(topology.Consume(b, letters), test.by), counted)
			})
			d := topologytest.New(t, topo, 3)
			byKey := map[string][]int64{}
			keys, span := 1+random.IntN(4), 50+random.Int64N(500)
			for range random.IntN(100) {
				key, ms := fmt.Sprint(random.IntN(keys)), random.Int64N(span)
				byKey[key] = append(byKey[key], ms)
				d.At(at(ms))
				topologytest.Send(d, letters, key, "")
				if random.IntN(20) == 0 {
					d.Restart()
				}
			}
			want := map[topology.Windowed[string]]int64{}
			for key, times := range byKey {
				slices.Sort(times)
				for w, n := range test.loop(times) {
					want[within(key, w[0], w[1])] = n
				}
			}
			if diff := gocmp.Diff(want, topologytest.Rows(d, counted)); diff != "" {
				t.Fatalf("%+v, records %v (-want +got):\n%s", test.by, byKey, diff)
			}
		}
	}
}

// With records that come too late the counts are those of a loop that drops them.
func TestWindowCountsWithoutLateRecords(t *testing.T) {
	random := random(t)
	for range 100 {
		size, grace := 1+random.Int64N(30), random.Int64N(40)
		advance := 1 + random.Int64N(size)
		inMs := func(n int64) time.Duration { return time.Duration(n) * ms }
		var times []int64
		for now := int64(0); len(times) < 60; now += random.Int64N(12) {
			times = append(times, max(0, now-random.Int64N(60)))
		}
		for _, test := range []struct {
			by   topology.Windows
			want map[[2]int64]int64
		}{
			{topology.Hopping{Size: inMs(size), Advance: inMs(advance), Grace: inMs(grace)}, openHops(times, size, advance, grace)},
			{topology.Session{Gap: inMs(size), Grace: inMs(grace)}, openSessions(times, size, grace)},
		} {
			topo := build(t, func(b *topology.Builder) {
				topology.Count(topology.Window(topology.Consume(b, letters), test.by), counted)
			})
			d := topologytest.New(t, topo, 1)
			for _, ms := range times {
				d.At(at(ms))
				topologytest.Send(d, letters, "k", "")
			}
			want := map[topology.Windowed[string]]int64{}
			for w, n := range test.want {
				want[within("k", w[0], w[1])] = n
			}
			if diff := gocmp.Diff(want, topologytest.Rows(d, counted)); diff != "" {
				t.Fatalf("%+v, records %v (-want +got):\n%s", test.by, times, diff)
			}
		}
	}
}

func openHops(times []int64, size, advance, grace int64) map[[2]int64]int64 {
	counts, now := map[[2]int64]int64{}, int64(0)
	for _, t := range times {
		now = max(now, t)
		for start := int64(0); start <= t; start += advance {
			if end := start + size; t < end && now < end+grace {
				counts[[2]int64{start, end}]++
			}
		}
	}
	return counts
}

func openSessions(times []int64, gap, grace int64) map[[2]int64]int64 {
	counts, now := map[[2]int64]int64{}, int64(0)
	for _, t := range times {
		now = max(now, t)
		into, n := [2]int64{t, t}, int64(1)
		var near [][2]int64
		for s, m := range counts {
			if open := s[1]+gap+grace >= now; open && s[0]-gap <= t && t <= s[1]+gap {
				near = append(near, s)
				into[0], into[1], n = min(into[0], s[0]), max(into[1], s[1]), n+m
			}
		}
		if into[1]+gap+grace < now {
			continue
		}
		for _, s := range near {
			delete(counts, s)
		}
		counts[into] = n
	}
	return counts
}

func hops(times []int64, size, advance int64) map[[2]int64]int64 {
	counts := map[[2]int64]int64{}
	for _, t := range times {
		for start := int64(0); start <= t; start += advance {
			if t < start+size {
				counts[[2]int64{start, start + size}]++
			}
		}
	}
	return counts
}

// slides counts what is in each window that ends with a record, or begins just
// after one; of those that would begin before 1970 only in the first.
func slides(times []int64, size int64) map[[2]int64]int64 {
	counts := map[[2]int64]int64{}
	for _, t := range times {
		for _, start := range []int64{max(0, t-size), t + 1} {
			n := int64(0)
			for _, u := range times {
				if start <= u && u <= start+size {
					n++
				}
			}
			if n > 0 {
				counts[[2]int64{start, start + size}] = n
			}
		}
	}
	return counts
}

func sessions(times []int64, gap int64) map[[2]int64]int64 {
	counts := map[[2]int64]int64{}
	for i := 0; i < len(times); {
		j := i
		for j+1 < len(times) && times[j+1]-times[j] <= gap {
			j++
		}
		counts[[2]int64{times[i], times[j]}] = int64(j + 1 - i)
		i = j + 1
	}
	return counts
}
