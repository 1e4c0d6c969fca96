package topology_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

func letterAt(at time.Time) topology.Raw {
	return topology.Raw{Key: []byte("k"), Value: []byte("v"), Time: at, Position: topology.Position{Topic: "letters"}}
}

// Times from 1970 to the topology.MaxTime pass as they are, through everything that keeps
// or waits for something; others are refused as what cannot be decoded.
func TestRangeOfTimes(t *testing.T) {
	const year = 365 * 24 * time.Hour
	long := topology.Store[string, string]{Name: "long", TTL: 290 * year}
	joined := topology.Within{Name: "joined", Before: 290 * year, After: year, Grace: 290 * year}
	topo := build(t, func(b *topology.Builder) {
		all := topology.Consume(b, letters)
		topology.Publish(topology.Suppress(topology.ToTable(all, long), calm, topology.Until{Rows: 3}), calmTopic)
		for i, by := range []topology.Windows{
			topology.Tumbling{Size: 290 * year, Grace: 290 * year},
			topology.Hopping{Size: 3 * ms, Advance: ms, Grace: 290 * year},
			topology.Sliding{Size: 100 * year, Grace: 290 * year},
			topology.Session{Gap: 290 * year, Grace: 290 * year},
		} {
			counts := topology.Count(topology.Window(all, by), topology.Store[windowOfKey, int64]{Name: fmt.Sprint("counted", i)})
			topology.Suppress(counts, topology.Store[windowOfKey, int64]{Name: fmt.Sprint("final", i)}, topology.Until{Closed: true})
		}
		topology.ForEach(topology.JoinStreams(all, all, joined, topology.Outer(func(string, *string, *string) string { return "" })), func(string, string) {})
		topology.ForEach(topology.Process(all, func(c *topology.Context[string, string]) func(topology.Record[string, string]) error {
			c.Every(290*year, topology.StreamTime, func(time.Time) error { return nil })
			return func(topology.Record[string, string]) error { return nil }
		}), func(string, string) {})
	})
	for _, first := range []int64{0, 1, 1764277200000, topology.MaxTime - 1, topology.MaxTime} {
		for _, second := range []int64{0, 3, 7_999_999_999_999, topology.MaxTime - 7, topology.MaxTime} {
			d := topologytest.New(t, topo, 1)
			for _, ms := range []int64{first, second, second} {
				d.SendRaw(letterAt(time.UnixMilli(ms)))
				d.Restart()
			}
			if diff := cmp.Diff(map[string]string{"k": "v"}, topologytest.Rows(d, long)); second >= first && diff != "" {
				t.Errorf("times %d, %d: rows (-want +got):\n%s", first, second, diff)
			}
			hops := topologytest.Rows(d, topology.Store[windowOfKey, int64]{Name: "counted1"})
			for start := max(0, second-2); start <= second; start++ {
				want := int64(2)
				if first >= start && first < start+3 {
					want++
				}
				if got := hops[within("k", start, start+3)]; got != want && second >= first {
					t.Errorf("times %d, %d: the window from %d has %d, want %d", first, second, start, got, want)
				}
			}
		}
	}
	for _, wrong := range []time.Time{{}, at(-1), at(math.MinInt64), at(topology.MaxTime + 1), at(9_999_999_999_999), at(math.MaxInt64), time.Unix(math.MaxInt64-1<<36, 0)} {
		d := topologytest.New(t, topo, 1)
		if !wrong.IsZero() { // the driver gives a time of its own
			d.SendRaw(letterAt(wrong))
			refusedFor(t, d, "topic letters: its time, ")
		}
		task := start(topo.Groups()[0], rows{})
		if _, err := task.Process(letterAt(wrong)); err == nil {
			t.Errorf("%v is taken", wrong)
		}
		if got := task.Clocks(); got != "" {
			t.Errorf("%v moves clocks: %s", wrong, got)
		}
	}
}

func refusedFor(t *testing.T, d *topologytest.Driver, texts ...string) {
	t.Helper()
	errs := d.Errors()
	if len(errs) == 0 {
		t.Errorf("taken, want %q", texts)
	}
	for _, err := range errs {
		for _, text := range texts {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("error %q, want %q in it", err, text)
			}
		}
	}
}

// What is later than a topic allows is refused before it moves a clock.
func TestMaxAhead(t *testing.T) {
	guarded := letters
	guarded.MaxAhead = time.Hour
	guarded.Policies.Decode = topology.Skip
	short := newest
	short.TTL = time.Minute
	topo := build(t, func(b *topology.Builder) { topology.Materialize(b, guarded, short) })
	d := topologytest.New(t, topo, 1)
	d.Advance(time.Hour) // it is one o'clock
	d.SendRaw(letterAt(time.UnixMilli(0).Add(2 * time.Hour)))
	d.SendRaw(letterAt(time.UnixMilli(0).Add(2*time.Hour + ms)))
	errs := d.Errors()
	want := `record letters/0@1: topic letters: its time, 1970-01-01T02:00:00Z, is later than the time of day, 1970-01-01T01:00:00Z, by more than MaxAhead of topic "letters", which is 1h0m0s: correct the clock that set it, or MaxAhead`
	if len(errs) != 1 || errs[0].Error() != want || errs[0].Policy != topology.Skip {
		t.Errorf("errors %v, want %s", errs, want)
	}
	if got := topologytest.Rows(d, short); len(got) != 1 {
		t.Errorf("rows %v", got)
	}
}

// A record that a step drops moves no clock of what is behind it: rows stay, and
// timers do not run.
func TestDroppedRecordsMoveNoClock(t *testing.T) {
	short := newest
	short.TTL = time.Minute
	past := func(r topology.Record[string, string]) bool { return r.Time.Before(at(1_000_000)) }
	var fired []int64
	topo := build(t, func(b *topology.Builder) {
		fired = nil
		all := topology.Records(topology.Consume(b, letters))
		good := topology.MapValues(topology.Filter(all, func(_ string, r topology.Record[string, string]) bool { return past(r) }),
			func(_ string, r topology.Record[string, string]) string { return r.Value })
		table := topology.ToTable(topology.As(good, codec.String{}), short)
		topology.ForEach(topology.Process(topology.NewValues(table), func(c *topology.Context[string, string]) func(topology.Record[string, string]) error {
			c.Every(time.Second, topology.StreamTime, func(now time.Time) error { fired = append(fired, now.UnixMilli()); return nil })
			return func(topology.Record[string, string]) error { return nil }
		}), func(string, string) {})
	})
	for _, restarted := range []bool{false, true} {
		fired = nil
		d := topologytest.New(t, topo, 1)
		for _, ms := range []int64{10, 2_000_000, 1500} {
			d.SendRaw(letterAt(at(ms)))
			if restarted {
				d.Restart()
			}
		}
		if got := topologytest.Rows(d, short); len(got) != 1 {
			t.Errorf("rows %v, want one", got)
		}
		if diff := cmp.Diff([]int64{10, 1500}, fired); diff != "" {
			t.Errorf("timers (-want +got):\n%s", diff)
		}
	}
}

// A row that is too old is gone for a record that comes to a step which reads it,
// or something that is made of it, by whichever way it comes.
func TestExpiredRowsAreGoneForReaders(t *testing.T) {
	short := newest
	short.TTL = 10 * ms
	joined := topology.Topic[string, string]{Name: "results", Key: codec.String{}, Value: codec.String{}}
	second := topology.Topic[string, string]{Name: "second", Key: codec.String{}, Value: codec.String{}}
	pair := topology.Left(func(_, l string, r *string) string {
		if r == nil {
			return l + " and none"
		}
		return l + " and " + *r
	})
	for name, declare := range map[string]func(b *topology.Builder){
		"read": func(b *topology.Builder) {
			topology.Publish(topology.Join(topology.Consume(b, second), topology.Materialize(b, letters, short), pair), joined)
		},
		"made of it": func(b *topology.Builder) {
			copied := topology.Derive(topology.Materialize(b, letters, short), calm, func(_, v string) (string, bool) { return v, true })
			topology.Publish(topology.Join(topology.Consume(b, second), copied, pair), joined)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := topologytest.New(t, build(t, declare), 1)
			for _, r := range []struct {
				topic, value string
				at           int64
			}{{"letters", "a", 0}, {"second", "b", 9}, {"second", "c", 10}} {
				d.SendRaw(topology.Raw{Key: []byte("k"), Value: []byte(r.value), Time: at(r.at), Position: topology.Position{Topic: r.topic}})
			}
			var got []string
			for _, r := range topologytest.Received(d, joined) {
				got = append(got, *r.Value)
			}
			if diff := cmp.Diff([]string{"b and a", "c and none"}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Topic.Time sees the record with its own time, and no missing value.
func TestTimeOfATopicSees(t *testing.T) {
	var seen []topology.Record[string, *hello]
	from := topology.Topic[string, *hello]{Name: "in", Key: codec.String{}, Value: codec.JSON[*hello]{}}
	from.Time = func(r topology.Record[string, *hello]) time.Time {
		seen = append(seen, r)
		return r.Time.Add(time.Duration(r.Value.Count) * ms)
	}
	to := topology.Topic[string, *hello]{Name: "out"}
	topo := build(t, func(b *topology.Builder) { topology.Publish(topology.Consume(b, from), to) })
	d := topologytest.New(t, topo, 1)
	headers := []topology.Header{{Key: "h", Value: []byte("v")}}
	for _, value := range [][]byte{nil, []byte("null"), []byte(`{"helloCount":7}`), []byte(`{"helloCount":-200}`)} {
		d.SendRaw(topology.Raw{Key: []byte("k"), Value: value, Time: at(100), Headers: headers, Position: topology.Position{Topic: "in"}})
	}
	refusedFor(t, d, "its time, 1969-12-31T23:59:59Z, is before 1970")
	var got []int64
	for _, r := range topologytest.Received(d, topology.Topic[string, *hello]{Name: "out", Key: from.Key, Value: from.Value}) {
		got = append(got, r.Time.UnixMilli())
	}
	if diff := cmp.Diff([]int64{100, 100, 107}, got); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
	if len(seen) != 2 || !seen[0].Time.Equal(at(100)) || seen[0].Offset != 2 || len(seen[0].Headers) != 1 {
		t.Errorf("it has seen %v", seen)
	}
}

// A time that a step gives out is in the range, too.
func TestTimesOfEmittedRecords(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		topology.Publish(topology.Process(topology.Consume(b, letters), func(c *topology.Context[string, string]) func(topology.Record[string, string]) error {
			return func(r topology.Record[string, string]) error {
				r.Time = r.Time.Add(-time.Second)
				c.Emit(r)
				return nil
			}
		}), topology.Topic[string, string]{Name: "out", Key: letters.Key, Value: letters.Value})
	})
	d := topologytest.New(t, topo, 1)
	d.SendRaw(letterAt(at(10)))
	refusedFor(t, d, "process 1: what it gives out: its time, 1969-12-31T23:59:59Z, is before 1970")
}

// New values are what rows come to be; deletions, and values that turn out to be
// nil, are none.
func TestNewValues(t *testing.T) {
	pointers := topology.Topic[string, *hello]{Name: "in", Key: codec.String{}, Value: codec.JSON[*hello]{}}
	var got []int64
	topo := build(t, func(b *topology.Builder) {
		table := topology.Materialize(b, pointers, topology.Store[string, *hello]{Name: "rows"})
		topology.ForEach(topology.NewValues(table), func(_ string, h *hello) { got = append(got, h.Count) })
		topology.Publish(topology.NewValues(table), topology.Topic[string, *hello]{Name: "out"})
	})
	d := topologytest.New(t, topo, 1)
	for _, value := range [][]byte{[]byte(`{"helloCount":1}`), nil, []byte("null"), []byte(`{"helloCount":2}`)} {
		d.SendRaw(topology.Raw{Key: []byte("k"), Value: value, Position: topology.Position{Topic: "in"}})
	}
	if diff := cmp.Diff([]int64{1, 2}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := len(topologytest.Received(d, topology.Topic[string, *hello]{Name: "out", Key: pointers.Key, Value: pointers.Value})); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
}
