package topology_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/plan"
)

// invoice is an order by another name.
type invoice struct{ Customer, State string }

func TestDiff(t *testing.T) {
	type b = topology.Builder
	var (
		people   = topology.Topic[string, string]{Name: "people", Key: codec.String{}, Value: codec.String{}}
		orders   = topology.Topic[string, order]{Name: "orders", Key: codec.String{}, Value: codec.JSON[order]{}}
		rows     = topology.Store[string, string]{Name: "rows"}
		byPerson = topology.Topic[string, string]{Name: "by-person"}
	)
	table := func(b *b) { topology.Materialize(b, people, rows) }
	through := func(topic topology.Topic[string, string]) func(*b) {
		return func(b *b) {
			s := topology.SelectKey(topology.Consume(b, people), func(_, v string) string { return v })
			topology.Count(topology.Repartition(s, topic), counts)
		}
	}
	joined := func(within topology.Within) func(*b) {
		return func(b *b) {
			lefts, rights := topology.Consume(b, people), topology.Consume(b, topology.Topic[string, string]{Name: "others", Key: codec.String{}, Value: codec.String{}})
			topology.Publish(topology.JoinStreams(lefts, rights, within, topology.Inner(func(_, l, r string) string { return l + r })),
				topology.Topic[string, string]{Name: "out", Value: codec.String{}})
		}
	}
	// derived keeps a second table, made of the changes of rows, in the group.
	derived := func(name string) func(*b) {
		return func(b *b) {
			changes := topology.ToStream(topology.Materialize(b, people, rows))
			topology.Count(changes, topology.Store[string, int64]{Name: name})
		}
	}
	for _, test := range []struct {
		name     string
		old, new func(*b)
		want     string // lines
	}{
		{"nothing", shop, shop, ""},
		{"lines of code that are moved", shop, func(b *b) { shopPayments(b); shopCustomers(b); shopOrders(b) }, ""},
		{
			"steps with other numbers",
			func(b *b) {
				topology.ForEach(topology.Filter(topology.Consume(b, people), func(string, string) bool { return true }), func(string, string) {})
				topology.Count(topology.Filter(topology.Consume(b, orders), func(string, order) bool { return true }), counts)
			},
			func(b *b) {
				topology.Count(topology.Filter(topology.Consume(b, orders), func(string, order) bool { return true }), counts)
				topology.ForEach(topology.Filter(topology.Consume(b, people), func(string, string) bool { return true }), func(string, string) {})
			}, "",
		},
		{
			"the window of a join", joined(topology.Within{Name: "soon", After: time.Hour}), joined(topology.Within{Name: "soon", After: time.Minute}),
			"needs reset  store soon-left: its windows are from 0s before to 1m after, were from 0s before to 1h after: what it holds is of the old ones\n" +
				`needs reset  store soon-right: its windows are from 1m before to 0s after, were from 1h before to 0s after: what it holds is of the old ones`,
		},
		{
			"steps that keep nothing", table, func(b *b) {
				topology.ToTable(topology.Filter(topology.Consume(b, people), func(string, string) bool { return true }), rows)
			}, "",
		},
		{
			"a group comes", table, func(b *b) { table(b); topology.Count(topology.Consume(b, people), counts) },
			`safe         group hello-counts: new: it reads people from the start`,
		},
		{
			"a group goes", func(b *b) { table(b); topology.Count(topology.Consume(b, people), counts) }, table,
			"safe         group hello-counts: gone: its committed offsets stay until somebody deletes them\n" +
				`safe         store hello-counts: gone: its changelog topic hello-hello-counts-table stays until somebody deletes it, and would fill a store of this name with old rows`,
		},
		{
			"a store comes to a group", table, derived("yet-another"),
			`needs reset  store yet-another: new, in a group that has read people before: it starts empty, and holds only what comes from now on`,
		},
		{
			"a store comes and gives the group its name", table, derived("another"),
			"needs reset  group another: it was group rows, which has the committed offsets: a group is named after the first of its tables, or else of its inputs; another name for what is new keeps it\n" +
				`needs reset  store another: new, in a group that has read people before: it starts empty, and holds only what comes from now on`,
		},
		{
			"a store goes", derived("yet-another"), table,
			`safe         store yet-another: gone: its changelog topic hello-yet-another-table stays until somebody deletes it, and would fill a store of this name with old rows`,
		},
		{
			"a table comes into another group", func(b *b) {
				table(b)
				topology.Count(topology.Consume(b, people), topology.Store[string, int64]{Name: "yet-another"})
			}, derived("yet-another"),
			"needs reset  store yet-another: group rows keeps it, was yet-another, which has the committed offsets: what made its rows would be read again\n" +
				`safe         group yet-another: gone: its committed offsets stay until somebody deletes them`,
		},
		{
			"codecs", table, func(b *b) {
				topology.Materialize(b, topology.Topic[int64, []byte]{Name: "people", Key: codec.Int64{}, Value: codec.Bytes{}}, topology.Store[int64, []byte]{Name: "rows"})
			},
			`breaking     store rows: its keys are encoded by codec.Int64, were by codec.String: its changelog was written by the old one, and keys would be looked for in other partitions` + "\n" +
				`breaking     store rows: its values are encoded by codec.Bytes, were by codec.String: its changelog was written by the old one` + "\n" +
				`breaking     topic people: its keys are encoded by codec.Int64, were by codec.String: what lies in it was written by the old one, and keys would be looked for in other partitions` + "\n" +
				`breaking     topic people: its values are encoded by codec.Bytes, were by codec.String: what lies in it was written by the old one`,
		},
		{
			"the type of values", func(b *b) { topology.Materialize(b, orders, topology.Store[string, order]{Name: "rows"}) },
			func(b *b) {
				renamed := topology.Topic[string, invoice]{Name: "orders", Key: codec.String{}, Value: codec.JSON[invoice]{}}
				topology.Materialize(b, renamed, topology.Store[string, invoice]{Name: "rows"})
			},
			`breaking     store rows: its values are encoded by codec.JSON[topology_test.invoice], were by codec.JSON[topology_test.order]: its changelog was written by the old one` + "\n" +
				`breaking     topic orders: its values are encoded by codec.JSON[topology_test.invoice], were by codec.JSON[topology_test.order]: what lies in it was written by the old one`,
		},
		{
			"the verb", func(b *b) { topology.Count(topology.Consume(b, people), counts) },
			func(b *b) {
				own := topology.Store[string, int64]{Name: "hello-counts", Value: codec.Int64{}}
				topology.Aggregate(topology.Consume(b, people), own, func(_, _ string, n int64) int64 { return n + 2 })
			},
			`needs reset  store hello-counts: it is kept by aggregate, was by count: the rows that are there were made otherwise`,
		},
		{
			"another topic", table, func(b *b) {
				other := people
				other.Name = "persons"
				topology.Materialize(b, other, rows)
			},
			"needs reset  store rows: it is not made from people any more, and holds what was: it is made from persons\n" +
				"safe         group rows: it reads persons, too, from the start\n" +
				`safe         group rows: it does not read people any more; the rows that it has made of it stay`,
		},
		{
			"one topic more", table, func(b *b) {
				other := people
				other.Name = "persons"
				topology.ToTable(topology.Merge(topology.Consume(b, other), topology.Consume(b, people)), rows)
			},
			`safe         group rows: it reads persons, too, from the start; its partitions must be as many as those of the other inputs`,
		},
		{
			"every change", table, func(b *b) {
				topology.Materialize(b, people, topology.Store[string, string]{Name: "rows", EveryChange: true})
			},
			`safe         store rows: its changelog gets every change, was the last one of a commit`,
		},
		{
			"an output comes", table, func(b *b) {
				topology.Publish(topology.Materialize(b, people, rows), topology.Topic[string, string]{Name: "out"})
			},
			`safe         group rows: it publishes to out, too, from now on`,
		},
		{
			"the name of a group that keeps nothing", func(b *b) {
				topology.Publish(topology.Consume(b, people), topology.Topic[string, string]{Name: "out"})
			}, func(b *b) {
				first := people
				first.Name = "first"
				topology.Publish(topology.Merge(topology.Consume(b, first), topology.Consume(b, people)), topology.Topic[string, string]{Name: "out"})
			},
			"needs reset  group first: it was group people, which has the committed offsets: a group is named after the first of its tables, or else of its inputs; another name for what is new keeps it\n" +
				`safe         group first: it reads first, too, from the start; its partitions must be as many as those of the other inputs`,
		},
		{
			"sinks", func(b *b) { topology.Sync(topology.Materialize(b, people, rows), &memory{"one"}) },
			func(b *b) { topology.Sync(topology.Materialize(b, people, rows), &memory{"two"}) },
			"safe         sink memory one: gone: it does not follow table rows any more, and what it holds stays\n" +
				`safe         sink memory two: new: it is filled from table rows`,
		},
		{
			"partitions of a repartition topic", through(byPerson), func(b *b) {
				topic := byPerson
				topic.Partitions = 12
				through(topic)(b)
			},
			`breaking     topic by-person: it is to have 12 partitions, had as many partitions as its readers need: a topic can't be repartitioned, and keys would come to tasks without their rows; give it another name, and reset what reads it`,
		},
		{
			"another repartition topic", through(byPerson), through(topology.Topic[string, string]{Name: "to-person"}),
			"needs reset  store hello-counts: it is not made from by-person any more, and holds what was: it is made from to-person\n" +
				"safe         group hello-counts: it reads to-person, too, from the start\n" +
				"safe         group hello-counts: it does not read by-person any more; the rows that it has made of it stay\n" +
				"safe         group people: it publishes to to-person, too, from now on\n" +
				"safe         group people: it does not publish to by-person any more\n" +
				`safe         topic by-person: gone: what lies in this repartition topic and was not processed never will be; it stays until somebody deletes it`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			differ(t, described(t, test.old), described(t, test.new), test.want)
		})
	}
}

// What a description says of time and of packages is compared as text.
func TestDiffOfText(t *testing.T) {
	const about = `{"version":1,"application":"a","groups":[{"name":"a-s","inputs":["in"],"stores":["s"]}],` +
		`"stores":[{"name":"s","group":"a-s","keptBy":["count"],"sources":["in"],"value":"V"}]}`
	for _, test := range []struct{ name, in, was, is, want string }{
		{"an application", `"a`, `"a`, `"b`, `needs reset  application b: it was a: groups, changelogs and local tables are named after it, so everything begins anew`},
		{"windows", `"V"`, `"V"`, `"V","windows":"tumbling 1h"`, `needs reset  store s: its windows are tumbling 1h, were none: what it holds is of the old ones`},
		{"grace", `"V"`, `"V","grace":"1m"`, `"V","grace":"2m"`, `safe         store s: its grace is 2m, was 1m: from now on`},
		{"a time to live", `"V"`, `"V","ttl":"1m"`, `"V"`, `safe         store s: its rows live for ever, was 1m; those that are due now go soon`},
		{"a type's package", `"V"`, `"codec.JSON[main.Order]"`, `"codec.JSON[shop.Order]"`, ``},
		{"a codec's package", `"V"`, `"main.JSON[main.Order]"`, `"codec.JSON[main.Order]"`, `breaking     store s: its values are encoded by codec.JSON[main.Order], were by main.JSON[main.Order]: its changelog was written by the old one`},
		{"a field that is not known here", `"V"`, `"V"`, `"V","color":"blue"`, ``},
	} {
		t.Run(test.name, func(t *testing.T) {
			with := func(text string) string { return strings.ReplaceAll(about, `:`+test.in, `:`+text) }
			differ(t, with(test.was), with(test.is), test.want)
		})
	}
}

// differ compares the differences of two descriptions with lines.
func differ(t *testing.T, old, new, want string) {
	t.Helper()
	found, err := plan.Diff([]byte(old), []byte(new))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, d := range found {
		lines = append(lines, d.String())
	}
	if diff := cmp.Diff(want, strings.Join(lines, "\n")); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}

func TestDiffRefuses(t *testing.T) {
	good := described(t, shop)
	for _, test := range []struct{ old, want string }{
		{``, `old topology: it is no JSON description: unexpected end of JSON input`},
		{`{}`, `old topology: it is no description of a topology: it has no version`},
		{`{"version": 2}`, `old topology: it has version 2, and this program knows versions up to 1: build it with a newer tidemark`},
		{`{"version": 0}`, `old topology: it has version 0, which there never was`},
		{`{"version": 1}`, `old topology: it is no description of a topology: it names no application`},
		{`{"version": 1, "groups": 7}`, `old topology: it is no description of a topology: json: cannot unmarshal number into Go struct field description.groups of type []plan.groupDescription`},
	} {
		if _, err := plan.Diff([]byte(test.old), []byte(good)); err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", test.old, err, test.want)
		}
	}
	if _, err := plan.Diff([]byte(good), nil); err == nil || !strings.HasPrefix(err.Error(), "new topology: ") {
		t.Errorf("got %v, want an error about the new topology", err)
	}
}

func TestDifferenceForScripts(t *testing.T) {
	got, err := json.Marshal(plan.Difference{Level: plan.NeedsReset, What: "store s", Text: "new"})
	if want := `{"level":"needs reset","what":"store s","text":"new"}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}
