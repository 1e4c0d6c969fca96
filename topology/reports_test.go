package topology_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// What others have met in Kafka Streams, ksqlDB, Beam, and what comes of it here.
func TestReportsOfClosedWindows(t *testing.T) {
	for name, test := range map[string]struct {
		by      topology.Windows
		records []timed
		want    map[windowOfKey]int64
	}{
		"apache/beam#18677: a session that is over, and a record within its gap that is not": {
			topology.Session{Gap: 5 * ms},
			[]timed{{"k", 0}, {"other", 6}, {"k", 3}, {"end", 100}},
			map[windowOfKey]int64{within("k", 0, 0): 1, within("k", 3, 3): 1, within("other", 6, 6): 1},
		},
		"confluentinc/kafka-streams-examples#441: another key closes the window": {
			topology.Tumbling{Size: 10 * ms},
			[]timed{{"k", 1}, {"k", 2}, {"other", 10}},
			map[windowOfKey]int64{within("k", 0, 10): 2},
		},
		"spring-cloud-stream-binder-kafka#663: a session with a grace of its gap comes once, and whole": {
			topology.Session{Gap: 10 * ms, Grace: 10 * ms},
			[]timed{{"k", 0}, {"k", 8}, {"k", 15}, {"other", 35}, {"other", 36}},
			map[windowOfKey]int64{within("k", 0, 15): 3},
		},
		"confluentinc/ksql#4579: late for yesterday, within grace and after it": {
			topology.Tumbling{Size: 24 * time.Hour, Grace: time.Hour},
			[]timed{{"k", 1000}, {"k", 86_400_000 + 1000}, {"k", 86_400_000 - 1}, {"k", 86_400_000 + 3_600_000}, {"k", 86_400_000 - 2}},
			map[windowOfKey]int64{within("k", 0, 86_400_000): 2},
		},
		"apache/kafka#11928: sliding windows without grace": {
			topology.Sliding{Size: 10 * ms},
			[]timed{{"k", 100}, {"k", 105}, {"k", 110}, {"end", 1000}},
			map[windowOfKey]int64{within("k", 90, 100): 1, within("k", 95, 105): 2, within("k", 100, 110): 3, within("k", 101, 111): 2, within("k", 106, 116): 1},
		},
		"apache/kafka#9157: sliding windows of records before the first one is full": {
			topology.Sliding{Size: 50 * ms, Grace: 50 * ms},
			[]timed{{"k", 10}, {"k", 30}, {"k", 5}, {"end", 1000}},
			map[windowOfKey]int64{within("k", 0, 50): 3, within("k", 6, 56): 2, within("k", 11, 61): 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			final, _ := finalCounts(t, test.by, 0, test.records, nil)
			if diff := cmp.Diff(test.want, final); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// confluentinc/ksql#5605: rows of windows are there no longer than they are kept.
func TestReportOfRetention(t *testing.T) {
	_, rows := finalCounts(t, topology.Tumbling{Size: 5 * time.Second, Grace: time.Second}, 30*time.Second, []timed{{"abc", 0}, {"other", 30_000}}, nil)
	if diff := cmp.Diff(map[windowOfKey]int64{within("other", 30_000, 35_000): 1}, rows); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// confluentinc/ksql#8970: times in seconds, which lie in one window of January 1970,
// are put right by the topic's Time.
func TestReportOfTimesInSeconds(t *testing.T) {
	seconds := letters
	seconds.Time = func(r topology.Record[string, string]) time.Time { return time.Unix(r.Time.UnixMilli(), 0) }
	d := topologytest.New(t, build(t, func(b *topology.Builder) {
		topology.Count(topology.Window(topology.Consume(b, seconds), topology.Tumbling{Size: time.Minute}), counted)
	}), 1)
	for _, s := range []int64{1648467665, 1648467665, 1648467725} {
		d.SendRaw(letterAt(at(s)))
	}
	const first = 1648467660_000
	want := map[windowOfKey]int64{within("k", first, first+60_000): 2, within("k", first+60_000, first+120_000): 1}
	if diff := cmp.Diff(want, topologytest.Rows(d, counted)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// confluentinc/ksql#9164: functions that make a key of a value meet no tombstone.
func TestReportOfTombstonesInJoins(t *testing.T) {
	lefts := topology.Topic[string, *hello]{Name: "lefts", Key: codec.String{}, Value: codec.JSON[*hello]{}}
	state := func(_ string, h *hello) (string, bool) { return h.State, true } // panics if there is none
	names := func(_ string, l *hello, r string) string { return l.State + r }
	topo := build(t, func(b *topology.Builder) {
		rights := topology.Materialize(b, letters, newest)
		table := topology.Materialize(b, lefts, topology.Store[string, *hello]{Name: "left-rows"})
		topology.JoinForeign(table, rights, topology.Store[string, string]{Name: "joined", Value: codec.String{}}, state, topology.Inner(names))
		global := topology.Broadcast(b, topology.Topic[string, string]{Name: "globals", Key: codec.String{}, Value: codec.String{}}, topology.Store[string, string]{Name: "global-rows"})
		topology.ForEach(topology.JoinGlobal(topology.Consume(b, lefts), global, state, topology.Inner(names)), func(string, string) {})
		topology.Derive(table, topology.Store[string, string]{Name: "states", Value: codec.String{}}, state)
	})
	d := topologytest.New(t, topo, 2)
	for _, value := range [][]byte{[]byte(`{"state":"a"}`), nil, []byte("null"), []byte(`{"state":"b"}`), nil} {
		d.SendRaw(topology.Raw{Key: []byte("k"), Value: value, Position: topology.Position{Topic: "lefts"}})
	}
	if errs := d.Errors(); len(errs) > 0 {
		t.Errorf("errors %v", errs)
	}
}

// confluentinc/ksql#1558, and apache/kafka#22410: a left record that meets one has no
// result without one, also if it is late, within grace.
func TestReportOfSpuriousLeftResults(t *testing.T) {
	rights := topology.Topic[string, string]{Name: "rights", Key: codec.String{}, Value: codec.String{}}
	joined := topology.Topic[string, string]{Name: "joined", Key: codec.String{}, Value: codec.String{}}
	topo := build(t, func(b *topology.Builder) {
		within := topology.Within{Name: "soon", Before: 3 * time.Second, After: 3 * time.Second, Grace: 10 * time.Second}
		topology.Publish(topology.JoinStreams(topology.Consume(b, letters), topology.Consume(b, rights), within,
			topology.Left(func(_, l string, r *string) string {
				if r == nil {
					return l + " and none"
				}
				return l + " and " + *r
			})), joined)
	})
	d := topologytest.New(t, topo, 1)
	send := func(topic, key, value string, ms int64) {
		d.SendRaw(topology.Raw{Key: []byte(key), Value: []byte(value), Time: at(ms), Position: topology.Position{Topic: topic}})
	}
	send("letters", "1", "order", 17_000)
	send("rights", "1", "item", 19_000)
	send("rights", "1", "item 2", 19_000)
	send("letters", "other", "other", 25_000)
	send("letters", "2", "late order", 15_000) // its window is over, grace is not
	send("rights", "2", "late item", 16_000)
	send("letters", "end", "end", 100_000)
	var got []string
	for _, r := range topologytest.Received(d, joined) {
		got = append(got, *r.Value)
	}
	want := "order and item, order and item 2, late order and late item, other and none"
	if diff := cmp.Diff(want, strings.Join(got, ", ")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
