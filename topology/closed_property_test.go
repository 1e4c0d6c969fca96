package topology_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// A timed is a record of some key at some time.
type timed struct {
	key string
	at  int64
}

// outOfOrder are records of a few keys whose times go on, each some time back.
func outOfOrder(random *rand.Rand, n int, step, back int64) []timed {
	records := make([]timed, n)
	for i, now := 0, int64(0); i < n; i, now = i+1, now+random.Int64N(step) {
		records[i] = timed{string(rune('A' + random.IntN(3))), max(0, now-random.Int64N(back))}
	}
	return records
}

type windowOfKey = topology.Windowed[string]

// finalCounts sends records into windows, with restarts if there is a source of
// them, and returns what Suppress has passed on, and what the rows of the counts
// are in the end. It fails if the row of a window changes that was passed on.
func finalCounts(t *testing.T, by topology.Windows, ttl time.Duration, records []timed, restarts *rand.Rand) (final, rows map[windowOfKey]int64) {
	t.Helper()
	counts := topology.Store[windowOfKey, int64]{Name: "counted", TTL: ttl}
	topo := build(t, func(b *topology.Builder) {
		table := topology.Count(topology.Window(topology.Consume(b, letters), by), counts)
		closed := topology.Suppress(table, finalCount, topology.Until{Closed: true})
		topology.Publish(closed, topology.Topic[windowOfKey, int64]{Name: "counts"})
	})
	d := topologytest.New(t, topo, 1)
	final = map[windowOfKey]int64{}
	for i, r := range records {
		d.At(at(r.at))
		topologytest.Send(d, letters, r.key, "")
		if restarts != nil && restarts.IntN(8) == 0 {
			d.Restart()
		}
		for _, r := range topologytest.Received(d, topology.Topic[windowOfKey, int64]{Name: "counts"}) {
			if n, twice := final[r.Key]; twice {
				t.Fatalf("%+v, records %v: %v came as %d and as %v", by, records, r.Key, n, r.Value)
			}
			final[r.Key] = *r.Value
		}
		if i%20 != 0 && i < len(records)-1 {
			continue
		}
		rows = topologytest.Rows(d, counts)
		for w, n := range final {
			if now, kept := rows[w]; kept && now != n {
				t.Fatalf("%+v, records %v: %v was %d when it was closed, and is %d", by, records, w, n, now)
			}
		}
	}
	return final, rows
}

// A sessionModel is what sessions are in plain words: a record joins the open ones
// within a gap. What is closed is put aside, and never looked at again.
type sessionModel struct {
	gap, grace, now int64
	open            map[string]map[[2]int64]int64
	closed          map[windowOfKey]int64
}

func (m *sessionModel) take(r timed) {
	m.now = max(m.now, r.at)
	for key, open := range m.open {
		for s, n := range open {
			if s[1]+m.gap+m.grace < m.now {
				delete(open, s)
				m.closed[within(key, s[0], s[1])] = n
			}
		}
	}
	if m.open[r.key] == nil {
		m.open[r.key] = map[[2]int64]int64{}
	}
	into, n := [2]int64{r.at, r.at}, int64(1)
	var near [][2]int64
	for s, of := range m.open[r.key] {
		if s[0]-m.gap <= r.at && r.at <= s[1]+m.gap {
			near = append(near, s)
			into, n = [2]int64{min(into[0], s[0]), max(into[1], s[1])}, n+of
		}
	}
	if into[1]+m.gap+m.grace < m.now {
		return
	}
	for _, s := range near {
		delete(m.open[r.key], s)
	}
	m.open[r.key][into] = n
}

// Closed sessions come once, as a plain loop makes them, for whatever time their
// rows are kept, and whatever is restarted.
func TestClosedSessionsAreThoseOfALoop(t *testing.T) {
	random := random(t)
	for range 400 {
		gap, grace := 1+random.Int64N(12), random.Int64N(20)
		records := outOfOrder(random, 40, 1+gap*2, 1+3*(gap+grace))
		m := sessionModel{gap: gap, grace: grace, open: map[string]map[[2]int64]int64{}, closed: map[windowOfKey]int64{}}
		for _, r := range append(slices.Clone(records), timed{"end", 1_000_000}) {
			m.take(r)
		}
		by := topology.Session{Gap: time.Duration(gap) * ms, Grace: time.Duration(grace) * ms}
		for _, ttl := range []time.Duration{0, time.Duration(gap+grace+random.Int64N(2)*random.Int64N(100)) * ms} {
			final, _ := finalCounts(t, by, ttl, append(slices.Clone(records), timed{"end", 1_000_000}), random)
			if diff := gocmp.Diff(m.closed, final); diff != "" {
				t.Fatalf("%+v, TTL %v, records %v (-want +got):\n%s", by, ttl, records, diff)
			}
		}
	}
}

// A late record may make an open session grow back over a closed one. It is found
// nevertheless, also when it begins many gaps before.
func TestOpenSessionAroundAClosedOne(t *testing.T) {
	records := []timed{{"k", 1000}, {"other", 1011}, {"k", 1008}}
	for at := int64(999); at > 0; at -= 9 {
		records = append(records, timed{"k", at})
	}
	records = append(records, timed{"k", 1009}, timed{"k", 1012}, timed{"end", 5000})
	for _, restarts := range []*rand.Rand{nil, rand.New(rand.NewPCG(1, 1))} {
		final, _ := finalCounts(t, topology.Session{Gap: 10 * ms}, 0, records, restarts)
		want := map[windowOfKey]int64{
			within("k", 1000, 1000): 1, within("other", 1011, 1011): 1, within("k", 9, 1012): 114,
		}
		if diff := gocmp.Diff(want, final); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// Sliding windows that are closed come once and do not change, for whatever time
// their rows are kept, and whatever is restarted. As long as nothing is late,
// they are those of a plain loop.
func TestClosedSlidingWindows(t *testing.T) {
	random := random(t)
	for range 400 {
		size, grace := 1+random.Int64N(20), random.Int64N(30)
		by := topology.Sliding{Size: time.Duration(size) * ms, Grace: time.Duration(grace) * ms}
		end := timed{"end", 1_000_000}
		late := append(outOfOrder(random, 40, 1+size, 1+2*(size+grace)), end)
		var first map[windowOfKey]int64
		for _, ttl := range []time.Duration{0, time.Duration(2*size+grace+random.Int64N(2)*random.Int64N(100)) * ms} {
			final, _ := finalCounts(t, by, ttl, late, random)
			if first == nil {
				first = final
			}
			if diff := gocmp.Diff(first, final); diff != "" {
				t.Fatalf("%+v, TTL %v makes a difference, records %v (-without +with):\n%s", by, ttl, late, diff)
			}
		}
		inTime := append(outOfOrder(random, 40, 1+size, 1+grace), end)
		byKey, want := map[string][]int64{}, map[windowOfKey]int64{}
		for _, r := range inTime[:len(inTime)-1] {
			byKey[r.key] = append(byKey[r.key], r.at)
		}
		for key, times := range byKey {
			for w, n := range slides(times, size) {
				want[within(key, w[0], w[1])] = n
			}
		}
		final, _ := finalCounts(t, by, 0, inTime, random)
		if diff := gocmp.Diff(want, final); diff != "" {
			t.Fatalf("%+v, records %v (-want +got):\n%s", by, inTime, diff)
		}
	}
}

// A sliding window and a session include their end: what comes then is in them.
func TestClosedMeansAfterTheEnd(t *testing.T) {
	sliding, _ := finalCounts(t, topology.Sliding{Size: 50 * ms}, 0, []timed{{"A", 100}, {"A", 100}, {"B", 101}}, nil)
	if diff := gocmp.Diff(map[windowOfKey]int64{within("A", 50, 100): 2}, sliding); diff != "" {
		t.Errorf("sliding (-want +got):\n%s", diff)
	}
	session, _ := finalCounts(t, topology.Session{Gap: 10 * ms}, 0, []timed{{"A", 0}, {"B", 10}, {"A", 10}, {"B", 20}, {"B", 21}}, nil)
	if diff := gocmp.Diff(map[windowOfKey]int64{within("A", 0, 10): 2}, session); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
	final, rows := finalCounts(t, topology.Session{Gap: 10 * ms}, 0, []timed{{"A", 0}, {"B", 15}, {"A", 5}, {"B", 30}}, nil)
	want := map[windowOfKey]int64{within("A", 0, 0): 1, within("A", 5, 5): 1, within("B", 15, 15): 1}
	if diff := gocmp.Diff(want, final); diff != "" {
		t.Errorf("two sessions of A (-want +got):\n%s", diff)
	}
	if n := rows[within("A", 0, 0)]; n != 1 {
		t.Errorf("the row of a closed session is %d: it stays to be read", n)
	}
}
