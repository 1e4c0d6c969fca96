package topology_test

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

var (
	evens   = topology.Store[string, string]{Name: "evens"}
	squares = topology.Store[string, int64]{Name: "squares", Value: codec.Int64{}}
)

func isEven(_, v string) (string, bool) {
	n, _ := strconv.Atoi(v)
	return v, n%2 == 0
}

// The inputs are those of Kafka Streams' test of filtered tables. There each
// input is passed on, as a tombstone where it is left out; here a tombstone is for
// a row that was there.
func TestDerive(t *testing.T) {
	d := drive(t, func(b *topology.Builder) {
		table := topology.Materialize(b, lines, last)
		topology.Publish(topology.Derive(table, evens, isEven), out)
	})
	in := func(key, value string, at int64) event { return event{"lines", key, value, at} }
	holds(t, d, []truth{
		{in("A", "1", 5), ""},
		{in("B", "1", 10), ""},
		{in("C", "1", 15), ""},
		{in("A", "2", 10), "A=2@10"},
		{in("B", "2", 5), "B=2@5"},
		{in("A", "4", 12), "A=4@12"},
		{in("A", "3", 15), "A deleted@15"},
		{in("A", "null", 10), ""},
		{in("B", "null", 20), "B deleted@20"},
		{in("B", "null", 21), ""},
		{in("D", "4", 22), "D=4@22"},
	})
	if diff := cmp.Diff(map[string]string{"D": "4"}, topologytest.Rows(d, evens)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// A derived table has values of another type, changes, and tables derived from
// it, in the same group.
func TestDeriveFromDerived(t *testing.T) {
	declare := func(b *topology.Builder) {
		table := topology.Derive(topology.Materialize(b, lines, last), evens, isEven)
		squared := topology.Derive(table, squares, func(_, v string) (int64, bool) {
			n, _ := strconv.ParseInt(v, 10, 64)
			return n * n, n != 6
		})
		topology.Publish(topology.MapValues(topology.ToStream(squared), func(_ string, c topology.Change[int64]) string {
			text := ""
			if c.Old != nil {
				text = strconv.FormatInt(*c.Old, 10)
			}
			if text += ">"; c.New != nil {
				text += strconv.FormatInt(*c.New, 10)
			}
			return text
		}), out)
	}
	if got := len(build(t, declare).Groups()); got != 1 {
		t.Errorf("%d groups, want 1", got)
	}
	d := drive(t, declare)
	in := func(key, value string) event { return event{"lines", key, value, 1} }
	holds(t, d, []truth{
		{in("A", "2"), "A=>4@1"},
		{in("A", "4"), "A=4>16@1"},
		{in("A", "6"), "A=16>@1"},
		{in("A", "8"), "A=>64@1"},
		{in("A", "7"), "A=64>@1"},
		{in("A", "null"), ""},
	})
}

// A nil value is a row that is not there.
func TestDeriveNil(t *testing.T) {
	lists := topology.Store[string, []string]{Name: "lists", Value: codec.JSON[[]string]{}}
	d := drive(t, func(b *topology.Builder) {
		topology.Derive(topology.Materialize(b, lines, last), lists, func(_, v string) ([]string, bool) {
			if v == "none" {
				return nil, true
			}
			return []string{v}, true
		})
	})
	for _, v := range []string{"none", "a", "none"} {
		topologytest.Send(d, lines, "k", v)
		if got := len(topologytest.Rows(d, lists)); got != 0 && v == "none" || got != 1 && v != "none" {
			t.Errorf("after %q there are %d rows", v, got)
		}
	}
}
