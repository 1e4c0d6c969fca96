package topology_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

var (
	grouped = topology.Topic[string, string]{Name: "grouped"}
	tally   = topology.Store[string, int64]{Name: "tally"}
	trace   = topology.Store[string, string]{Name: "trace", Value: codec.String{}}
)

func byValue(_, v string) (string, string) { return v, v }

func sameKey(k, v string) (string, string) { return k, v }

// addedAndTaken writes down what an adder and a subtractor would be called with, in
// the order of Kafka Streams: the old value is taken away first.
func addedAndTaken(_ string, c topology.Change[string], kept string) string {
	if kept == "" {
		kept = "0"
	}
	if c.Old != nil {
		kept += "-" + *c.Old
	}
	if c.New != nil {
		kept += "+" + *c.New
	}
	return kept
}

// The figures are those of Kafka Streams' tests of aggregated tables.
func TestAggregatesOfTables(t *testing.T) {
	in := func(key, value string, at int64) event { return event{"lines", key, value, at} }
	counted := func(b *topology.Builder, groups topology.Stream[string, topology.Change[string]]) {
		text := topology.MapValues(topology.ToStream(topology.Count(groups, tally)), func(_ string, c topology.Change[int64]) string {
			return string(rune('0' + *c.New))
		})
		topology.Publish(text, out)
	}
	aggregated := func(b *topology.Builder, groups topology.Stream[string, topology.Change[string]]) {
		topology.Publish(topology.Aggregate(groups, trace, addedAndTaken), out)
	}
	for _, test := range []struct {
		name   string
		fn     func(k, v string) (string, string)
		fold   func(*topology.Builder, topology.Stream[string, topology.Change[string]])
		truths []truth
	}{
		{"basic", sameKey, aggregated, []truth{
			{in("A", "1", 10), "A=0+1@10"},
			{in("B", "2", 15), "B=0+2@15"},
			{in("A", "3", 20), "A=0+1-1+3@20"},
			{in("B", "4", 18), "B=0+2-2+4@18"},
			{in("C", "5", 5), "C=0+5@5"},
			{in("D", "6", 25), "D=0+6@25"},
			{in("B", "7", 15), "B=0+2-2+4-4+7@18"}, // the row keeps the newer time
			{in("C", "8", 10), "C=0+5-5+8@10"},
		}},
		{"another key", byValue, aggregated, []truth{
			{in("A", "1", 10), "1=0+1@10"},
			{in("A", "null", 15), "1=0+1-1@15"},
			{in("A", "1", 12), "1=0+1-1+1@15"},
			{in("B", "2", 20), "2=0+2@20"},
			{in("B", "4", 25), "2=0+2-2@25 4=0+4@25"}, // it goes before it comes
			{in("B", "7", 13), "4=0+4-4@25 7=0+7@13"},
			{in("X", "null", 30), ""}, // it was not there
		}},
		{"count", byValue, counted, []truth{
			{in("A", "green", 10), "green=1@10"},
			{in("B", "green", 9), "green=2@10"},
			{in("A", "blue", 12), "green=1@12 blue=1@12"},
			{in("C", "yellow", 15), "yellow=1@15"},
			{in("D", "green", 11), "green=2@12"},
			{in("A", "blue", 16), "blue=1@16"}, // a change within the group
			{in("A", "null", 17), "blue=0@17"}, // a count of 0 stays
		}},
		{"old before new", func(k, _ string) (string, string) { return k[:1], k[1:] }, func(b *topology.Builder, groups topology.Stream[string, topology.Change[string]]) {
			topology.Publish(topology.Aggregate(groups, trace, func(_ string, c topology.Change[string], kept string) string {
				if c.Old != nil {
					kept = strings.ReplaceAll(kept, *c.Old, "")
				}
				if c.New != nil {
					kept += *c.New
				}
				return kept
			}), out)
		}, []truth{
			{in("11", "A", 10), "1=1@10"},
			{in("12", "B", 8), "1=12@10"},
			{in("11", "null", 12), "1=2@12"},
			{in("12", "C", 6), "1=2@12"},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := drive(t, func(b *topology.Builder) {
				table := topology.Materialize(b, lines, last)
				test.fold(b, topology.Regroup(table, grouped, test.fn))
			})
			holds(t, d, test.truths)
		})
	}
}

// Kafka Streams keeps no group for a row whose new key, or value, is null.
func TestRowsInNoGroup(t *testing.T) {
	through := topology.Topic[*string, *string]{Name: "grouped", Key: codec.JSON[*string]{}, Value: codec.JSON[*string]{}}
	d := drive(t, func(b *topology.Builder) {
		table := topology.Materialize(b, lines, last)
		topology.Count(topology.Regroup(table, through, func(_, v string) (k2, v2 *string) {
			switch v {
			case "no key":
				return nil, &v
			case "no value":
				return &v, nil
			}
			return &v, &v
		}), topology.Store[*string, int64]{Name: "tally"})
	})
	changes := topology.Topic[*string, topology.Change[*string]]{Name: "grouped"}
	topologytest.Send(d, lines, "a", "no key")
	topologytest.Send(d, lines, "a", "no value")
	if got := topologytest.Received(d, changes); len(got) != 0 {
		t.Errorf("told %v", got)
	}
	topologytest.Send(d, lines, "a", "x")
	topologytest.Send(d, lines, "a", "no key")
	got := topologytest.Received(d, changes)
	if len(got) != 2 || got[0].Value.Old != nil || **got[0].Value.New != "x" || **got[1].Value.Old != "x" || got[1].Value.New != nil {
		t.Errorf("told %+v", got)
	}
}

// What a row was is no news to a group that has no row for it: nothing is taken
// away, as in Kafka Streams. The change is shown whole to whoever looks beside.
func TestOldSideWithoutARow(t *testing.T) {
	changes := topology.Topic[string, topology.Change[string]]{Name: "changes", Key: codec.String{}, Value: codec.JSON[topology.Change[string]]{}}
	declare := func(b *topology.Builder) {
		all := topology.Consume(b, changes)
		topology.Count(all, tally)
		topology.Publish(topology.Aggregate(all, trace, addedAndTaken), out)
		topology.Publish(topology.MapValues(topology.ToStream(topology.ToTable(all, topology.Store[string, topology.Change[string]]{Name: "all"})),
			func(_ string, c topology.Change[topology.Change[string]]) bool { return c.New.Old != nil }),
			topology.Topic[string, bool]{Name: "whole", Value: codec.JSON[bool]{}})
	}
	d := drive(t, declare)
	holds(t, d, []truth{
		{event{"changes", "a", `{"old":"1"}`, 1}, ""},
		{event{"changes", "a", `{"old":"1","new":"2"}`, 2}, "a=0+2@2"},
		{event{"changes", "a", `{"old":"2","new":"3"}`, 3}, "a=0+2-2+3@3"},
		{event{"changes", "a", `{"old":"3"}`, 4}, "a=0+2-2+3-3@4"},
	})
	if diff := cmp.Diff(map[string]int64{"a": 0}, topologytest.Rows(d, tally)); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	whole := topologytest.Received(d, topology.Topic[string, bool]{Name: "whole"})
	if diff := cmp.Diff([]bool{true, true, true, true}, values(whole)); diff != "" {
		t.Errorf("whole (-want +got):\n%s", diff)
	}
}

// Both sides of a change are text in a scenario, and an aggregate runs in a group
// of its own, behind the topic.
func TestRegroupedTopicIsText(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		sums := topology.Materialize(b, topology.Topic[string, int64]{Name: "in", Key: codec.String{}, Value: codec.Int64{}}, sums)
		topology.Count(topology.Regroup(sums, topology.Topic[int64, int64]{Name: "grouped", Key: codec.Int64{}, Partitions: 7}, func(_ string, n int64) (int64, int64) {
			return n % 10, n
		}), topology.Store[int64, int64]{Name: "tally"})
	})
	if got := topo.Repartitions(); len(got) != 1 || got[0].Topic != "grouped" || got[0].Partitions != 7 {
		t.Errorf("repartition topics %+v", got)
	}
	if got := len(topo.Groups()); got != 2 {
		t.Errorf("%d groups, want 2", got)
	}
	d := topologytest.New(t, topo, 7)
	d.Scenario("testdata/regroup.txt")
	for _, text := range []string{`{"old":1,"new":2}`, `{"old":1}`, `{"new":2}`} {
		r, err := topo.Parse("grouped", "3", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, got, err := topo.Format(r); err != nil || string(got) != text {
			t.Errorf("%s is printed as %s, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		`{}`:                      "neither an old side nor a new one",
		`{"old":null}`:            "neither an old side nor a new one",
		`{"old":1,"newer":2}`:     "unknown field",
		`{"old":"x","new":2}`:     "cannot unmarshal string",
		`{"old":1,"new":2`:        "unexpected EOF",
		`{"old":{"a":1},"new":2}`: "cannot unmarshal object",
	} {
		if _, err := topo.Parse("grouped", "3", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
	}
}

func TestMistakesOfRegroup(t *testing.T) {
	b := topology.NewBuilder("hello")
	table := topology.Materialize(b, lines, last)
	topology.Count(topology.Regroup(table, topology.Topic[int64, int64]{Name: "x"}, func(string, string) (int64, int64) { return 0, 0 }), topology.Store[int64, int64]{Name: "n"})
	topology.Count(topology.Regroup[string, string, string, string](table, grouped, nil), tally)
	_, err := b.Build()
	want := `topic "x": no codec for its values of type int64
topic "x": no codec for its keys of type int64
regroup 2: the function is nil`
	if err == nil || mistakes(t, err) != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
}
