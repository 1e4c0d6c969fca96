package topology_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

var (
	newest     = topology.Store[string, string]{Name: "newest"}
	calm       = topology.Store[string, string]{Name: "calm"}
	calmTopic  = topology.Topic[string, string]{Name: "calm-topic"}
	finalCount = topology.Store[topology.Windowed[string], int64]{Name: "final-count"}
)

const deleted = "\x00" // in place of a value

// suppressed sends changes of a table, and returns what comes of each: what one
// of them causes is in one line.
func suppressed(t *testing.T, until topology.Until, changes []sent) []string {
	t.Helper()
	topo := build(t, func(b *topology.Builder) {
		topology.Publish(topology.Suppress(topology.Materialize(b, letters, newest), calm, until), calmTopic)
	})
	var runs [2][]string
	for i := range runs {
		d := topologytest.New(t, topo, 1)
		for _, c := range changes {
			d.At(at(c.at))
			if c.value == deleted {
				topologytest.Delete(d, letters, c.key)
			} else {
				topologytest.Send(d, letters, c.key, c.value)
			}
			if i == 1 {
				d.Restart()
			}
			var out []string
			for _, r := range topologytest.Received(d, calmTopic) {
				value := "deleted"
				if r.Value != nil {
					value = *r.Value
				}
				out = append(out, fmt.Sprintf("%s %s @%d", r.Key, value, r.Time.UnixMilli()))
			}
			runs[i] = append(runs[i], strings.Join(out, ", "))
		}
	}
	if diff := cmp.Diff(runs[0], runs[1]); diff != "" {
		t.Errorf("restarts make a difference (-without +with):\n%s", diff)
	}
	return runs[0]
}

func TestSuppress(t *testing.T) {
	for _, test := range []struct {
		name    string
		until   topology.Until
		changes []sent
		want    []string
	}{
		{
			// SuppressScenarioTest.shouldSuppressIntermediateEventsWithTimeLimit
			name:  "age",
			until: topology.Until{Age: 2 * ms},
			changes: []sent{
				{"v1", "1", 0}, {"v1", "0", 1}, {"v2", "1", 1}, {"v1", "1", 2}, {"tick", "1", 3}, {"tick", "0", 4}, {"tock", "1", 4},
			},
			want: []string{"", "", "", "v1 1 @2", "v2 1 @1", "", ""},
		}, {
			// SuppressScenarioTest.shouldSuppressIntermediateEventsWithRecordLimit
			name:    "rows",
			until:   topology.Until{Rows: 1},
			changes: []sent{{"v1", "1", 0}, {"v1", "0", 1}, {"v2", "1", 1}, {"v1", "1", 2}, {"x", "1", 3}},
			want:    []string{"", "", "v1 0 @1", "v2 1 @1", "v1 1 @2"},
		}, {
			// SuppressScenarioTest.shouldWorkBeforeJoinRight: those of one time by key.
			name:    "order",
			until:   topology.Until{Age: 10 * ms},
			changes: []sent{{"B", "1", 0}, {"A", "1", 0}, {"tick", "tick", 10}, {"A", "2", 11}, {"tick", "tick1", 21}},
			want:    []string{"", "", "A 1 @0, B 1 @0", "", "tick tick1 @21, A 2 @11"},
		}, {
			// KTableSuppressProcessorTest.suppressShouldEmitWhenOverRecordCapacity
			name:    "over capacity",
			until:   topology.Until{Age: 24 * time.Hour, Rows: 1},
			changes: []sent{{"hey", "1", 100}, {"dummyKey", "2", 101}},
			want:    []string{"", "hey 1 @100"},
		}, {
			// KTableSuppressProcessorTest.intermediateSuppressionShouldBufferAndEmitLater
			name:    "later",
			until:   topology.Until{Age: ms},
			changes: []sent{{"hey", "14", 0}, {"tick", "5", 1}},
			want:    []string{"", "hey 14 @0"},
		}, {
			// KTableSuppressProcessorTest.suppressShouldNotDropTombstonesForKTable
			name:    "deletions",
			until:   topology.Until{Age: 5 * ms},
			changes: []sent{{"hey", "1", 0}, {"hey", deleted, 3}, {"tick", "1", 5}, {"hey", "2", 6}, {"tick", "2", 20}},
			want:    []string{"", "", "hey deleted @3", "", "tick 2 @20, hey 2 @6"},
		}, {
			name:    "out of order: the place is that of the first change, time that of the newest",
			until:   topology.Until{Age: 10 * ms},
			changes: []sent{{"a", "1", 20}, {"b", "1", 12}, {"b", "2", 5}, {"c", "1", 9}, {"a", "2", 30}},
			want:    []string{"", "", "", "c 1 @9", "b 2 @5, a 2 @30"},
		}, {
			name:    "age and rows",
			until:   topology.Until{Age: 10 * ms, Rows: 2},
			changes: []sent{{"a", "1", 1}, {"b", "1", 2}, {"a", "2", 3}, {"c", "1", 4}, {"d", "1", 13}},
			want:    []string{"", "", "", "a 2 @3", "b 1 @2"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, suppressed(t, test.until, test.changes)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// closing publishes how often records came in windows that are closed.
func closing(by topology.Windows) func(*topology.Builder) {
	return func(b *topology.Builder) {
		counts := topology.Count(topology.Window(topology.Consume(b, letters), by), counted)
		final := topology.Suppress(counts, finalCount, topology.Until{Closed: true})
		topology.Publish(final, topology.Topic[topology.Windowed[string], int64]{Name: "counts"})
	}
}

func TestSuppressUntilClosed(t *testing.T) {
	for _, test := range []struct {
		name string
		by   topology.Windows
		keys string // of the records; k1 if there is none
		at   []int64
		want []string
	}{
		{
			// SuppressScenarioTest.shouldSupportFinalResultsForTimeWindows
			name: "tumbling",
			by:   topology.Tumbling{Size: 2 * ms, Grace: ms},
			at:   []int64{0, 1, 2, 1, 0, 5, 0},
			want: []string{"k1[0,2] = 4 @1", "k1[2,4] = 1 @2"},
		}, {
			// SuppressScenarioTest.shouldSupportFinalResultsForTimeWindowsWithLargeJump
			name: "tumbling, a large jump",
			by:   topology.Tumbling{Size: 2 * ms, Grace: 2 * ms},
			at:   []int64{0, 1, 2, 0, 3, 0, 4, 0, 30},
			want: []string{"k1[0,2] = 4 @1", "k1[2,4] = 2 @3", "k1[4,6] = 1 @4"},
		}, {
			// KTableSuppressProcessorTest.finalResultsSuppressionShouldBufferAndEmitAtGraceExpiration
			name: "tumbling, not before grace is over",
			by:   topology.Tumbling{Size: ms, Grace: ms},
			at:   []int64{99, 100},
		}, {
			name: "tumbling, when grace is over",
			by:   topology.Tumbling{Size: ms, Grace: ms},
			at:   []int64{99, 100, 101},
			want: []string{"k1[99,100] = 1 @99"},
		}, {
			// KTableSuppressProcessorTest.finalResultsWithZeroGraceShouldStillBufferUntilTheWindowEnd
			name: "tumbling, no grace",
			by:   topology.Tumbling{Size: 100 * ms},
			at:   []int64{5, 99, 100},
			want: []string{"k1[0,100] = 2 @99"},
		}, {
			// SuppressScenarioTest.shouldSupportFinalResultsForSlidingWindows
			name: "sliding",
			by:   topology.Sliding{Size: 5 * ms, Grace: 15 * ms},
			at:   []int64{10, 11, 10, 13, 10, 24, 5, 7, 90},
			want: []string{
				"k1[5,10] = 5 @10", "k1[6,11] = 5 @11", "k1[8,13] = 5 @13", "k1[11,16] = 2 @13", "k1[12,17] = 1 @13", "k1[19,24] = 1 @24",
			},
		}, {
			// SuppressScenarioTest.shouldSupportFinalResultsForSessionWindows
			name: "session",
			by:   topology.Session{Gap: 5 * ms},
			keys: "k1 k1 k1 k2 k1 k1",
			at:   []int64{0, 5, 1, 11, 5, 30},
			want: []string{"k1[0,5] = 3 @5", "k2[11,11] = 1 @11"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var runs [2][]string
			for i := range runs {
				d := topologytest.New(t, build(t, closing(test.by)), 1)
				for j, ms := range test.at {
					key := "k1"
					if test.keys != "" {
						key = strings.Fields(test.keys)[j]
					}
					d.At(at(ms))
					topologytest.Send(d, letters, key, "v1")
					if i == 1 {
						d.Restart()
					}
				}
				for _, r := range topologytest.Received(d, topology.Topic[topology.Windowed[string], int64]{Name: "counts"}) {
					runs[i] = append(runs[i], fmt.Sprintf("%s[%d,%d] = %d @%d", r.Key.Key, r.Key.Start.UnixMilli(), r.Key.End.UnixMilli(), *r.Value, r.Time.UnixMilli()))
				}
				if n := len(topologytest.Rows(d, finalCount)); n != len(test.want) {
					t.Errorf("the table has %d rows, want %d", n, len(test.want))
				}
			}
			for _, got := range runs {
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// What is passed on is what the record was that made it: with its headers; and
// with the row that it replaces.
func TestSuppressPassesOn(t *testing.T) {
	changes := topology.Topic[string, string]{Name: "changes"}
	topo := build(t, func(b *topology.Builder) {
		calm := topology.Suppress(topology.Materialize(b, letters, newest), calm, topology.Until{Rows: 1})
		topology.Publish(topology.MapValues(topology.ToStream(calm), func(_ string, c topology.Change[string]) string {
			text := "nothing"
			if c.Old != nil {
				text = *c.Old
			}
			return text + " → " + *c.New
		}), topology.Topic[string, string]{Name: "changes", Key: letters.Key, Value: letters.Value})
	})
	d := topologytest.New(t, topo, 1)
	for i, key := range []string{"a", "b", "a", "b"} {
		d.SendRaw(topology.Raw{
			Key: []byte(key), Value: fmt.Append(nil, i), Time: at(int64(i)), Position: topology.Position{Topic: "letters"},
			Headers: []topology.Header{{Key: "trace", Value: fmt.Append(nil, i)}},
		})
	}
	var got []string
	for _, r := range topologytest.Received(d, changes) {
		got = append(got, fmt.Sprintf("%s %s %s", r.Key, *r.Value, r.Headers[0].Value))
	}
	if diff := cmp.Diff([]string{"a nothing → 0 0", "b nothing → 1 1", "a 0 → 2 2"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A call that fails has not held anything back.
func TestSuppressCountsWhatStays(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		table := topology.Suppress(topology.Materialize(b, letters, newest), calm, topology.Until{Rows: 2})
		topology.ForEach(topology.ToStream(table), func(_ string, c topology.Change[string]) {
			if *c.New == "bad" {
				panic("bad")
			}
		})
		topology.Publish(table, calmTopic)
	})
	d := topologytest.New(t, topo, 1)
	// The third record would let the first go, which cannot be processed; so would
	// each after it that adds a row.
	for i, r := range []sent{{"a", "bad", 1}, {"b", "1", 2}, {"c", "1", 3}, {"a", "good", 4}, {"c", "2", 5}, {"d", "1", 6}} {
		d.At(at(r.at))
		topologytest.Send(d, letters, r.key, r.value)
		if errs := d.Errors(); (len(errs) > 0) != (i == 2) {
			t.Errorf("record %d: %v", i, errs)
		}
	}
	var got []string
	for _, r := range topologytest.Received(d, calmTopic) {
		got = append(got, r.Key+" "+*r.Value)
	}
	if diff := cmp.Diff([]string{"a good", "b 1"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSuppressMistakes(t *testing.T) {
	for name, test := range map[string]struct {
		until topology.Until
		want  string
	}{
		"nothing":          {topology.Until{}, "suppress calm: nothing is held back: it has neither Closed nor Age nor Rows"},
		"not of windows":   {topology.Until{Closed: true}, "suppress calm: it has Closed, and the table is not one of windows"},
		"closed and more":  {topology.Until{Closed: true, Rows: 1}, "it has Closed, which means"},
		"negative age":     {topology.Until{Age: -ms}, "Age is -1ms, less than 0"},
		"fraction of time": {topology.Until{Age: ms / 2}, "Age is 500µs: Kafka's times"},
		"negative rows":    {topology.Until{Rows: -1}, "Rows is -1, less than 0"},
	} {
		t.Run(name, func(t *testing.T) {
			b := topology.NewBuilder("app")
			topology.Suppress(topology.Materialize(b, letters, newest), calm, test.until)
			if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
	b := topology.NewBuilder("app")
	topology.ToTable(topology.Consume(b, letters), topology.Store[string, string]{Name: "calm-buffer"})
	topology.Suppress(topology.Materialize(b, letters, newest), calm, topology.Until{Rows: 1})
	if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), `store "calm-buffer": rows of`) {
		t.Errorf("error %v", err)
	}
}
