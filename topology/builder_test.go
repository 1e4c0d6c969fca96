package topology_test

import (
	"strings"
	"testing"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

// other is a topic that is fit to be read.
var other = topology.Topic[string, hello]{Name: "other", Key: codec.String{}, Value: codec.JSON[hello]{}}

func TestBuildNamesEachMistake(t *testing.T) {
	type (
		topic = topology.Topic[string, hello]
		store = topology.Store[string, hello]
		b     = topology.Builder
	)
	long := strings.Repeat("x", 230)
	for _, test := range []struct {
		name, application string
		declare           func(*b)
		want              string // the lines of the error
	}{
		{
			"no application", "", func(b *b) { topology.Materialize(b, journal, hellos) },
			`application: it has no name`,
		},
		{
			"application", "hello/1", func(b *b) { topology.Materialize(b, journal, hellos) },
			`application "hello/1": a name is made of letters, digits, '.', '_' and '-', not of '/'`,
		},
		{
			"long application", strings.Repeat("x", 240), func(b *b) { topology.Materialize(b, journal, store{Name: "s"}) },
			`application "` + strings.Repeat("x", 240) + `": its topic of dead letters has a name of 253 bytes, more than Kafka's 249`,
		},
		{
			"nothing", "hello", func(*b) {},
			`the topology does nothing: Consume or Materialize a topic`,
		},
		{
			"topic without anything", "hello", func(b *b) { topology.Materialize(b, topic{}, hellos) },
			"topic of string to topology_test.hello: it has no name\n" +
				`topic "": no codec for its keys of type string` + "\n" +
				`topic "": no codec for its values of type topology_test.hello`,
		},
		{
			"topic", "hello", func(b *b) {
				topology.Materialize(b, topic{Name: "..", Key: codec.String{}, Value: codec.JSON[hello]{}}, hellos)
			},
			`topic "..": Kafka refuses this name`,
		},
		{
			"policies", "hello", func(b *b) {
				from := journal
				from.Policies = topology.Policies{Decode: -1, Process: 4}
				topology.Materialize(b, from, hellos)
			},
			`topic "hello-log-store": Policies.Decode: -1 is not a policy` + "\n" +
				`topic "hello-log-store": Policies.Process: 4 is not a policy`,
		},
		{
			"topic twice", "hello", func(b *b) {
				topology.Materialize(b, journal, hellos)
				topology.Count(topology.Consume(b, topology.Topic[string, string]{Name: "hello-log-store", Key: codec.String{}, Value: codec.String{}}), counts)
			},
			`topic "hello-log-store": it is read as string (codec.String) to topology_test.hello (codec.JSON[github.com/tidemark-dev/tidemark/topology_test.hello]) and as string (codec.String) to string (codec.String)`,
		},
		{
			"topic twice, by policy", "hello", func(b *b) {
				from := topology.Topic[string, string]{Name: "in", Key: codec.String{}, Value: codec.String{}}
				topology.Count(topology.Consume(b, from), counts)
				from.Policies.Decode = topology.Skip
				topology.Materialize(b, from, topology.Store[string, string]{Name: "rows"})
			},
			`topic "in": it is read as string (codec.String) to string (codec.String) and as string (codec.String) to string (codec.String) with policies {Decode:2 Process:0}`,
		},
		{
			"store", "hello", func(b *b) { topology.Materialize(b, journal, store{}) },
			`table of topic hello-log-store: store: it has no name`,
		},
		{
			"store's name", "hello", func(b *b) { topology.Materialize(b, journal, store{Name: "a b"}) },
			`table of topic hello-log-store: store "a b": a name is made of letters, digits, '.', '_' and '-', not of ' '`,
		},
		{
			"store's long name", "hello-there-you", func(b *b) { topology.Materialize(b, journal, store{Name: long}) },
			`store "` + long + `": its changelog topic "hello-there-you-` + long + `-table" has a name of 252 bytes, more than Kafka's 249`,
		},
		{
			"store twice", "hello", func(b *b) {
				topology.Materialize(b, journal, hellos)
				topology.Materialize(b, other, hellos)
			},
			`store "hello-state-store": two tables are kept in it, of topic hello-log-store and of topic other`,
		},
		{
			"store's codecs", "hello", func(b *b) {
				topology.Aggregate(topology.Consume(b, journal), topology.Store[string, []string]{Name: "names"}, func(string, hello, []string) []string { return nil })
			},
			`store "names": no codec for its values of type []string`,
		},
		{
			"store's key", "hello", func(b *b) { topology.Materialize(b, journal, store{Name: "s", Key: codec.JSON[string]{}}) },
			`store "s": its keys are encoded by codec.JSON[string], those of topic hello-log-store by codec.String: rows would be looked for in other partitions`,
		},
		{
			"store and topic", "hello", func(b *b) { topology.Materialize(b, journal, store{Name: "hello-log-store"}) },
			`store "hello-log-store": a topic has this name, too`,
		},
		{
			"output and input", "hello", func(b *b) { topology.Publish(topology.Materialize(b, journal, hellos), journal) },
			`topic "hello-log-store": it feeds itself: hello-log-store → hello-log-store`,
		},
		{
			"output and changelog", "hello", func(b *b) {
				topology.Publish(topology.Materialize(b, journal, hellos), topic{Name: "hello-hello-state-store-table"})
			},
			`topic "hello-hello-state-store-table": it is the changelog topic of store "hello-state-store", too`,
		},
		{
			"output twice", "hello", func(b *b) {
				topology.Publish(topology.Materialize(b, journal, hellos), topic{Name: "out"})
				topology.Publish(topology.Count(topology.Consume(b, journal), counts), topology.Topic[string, int64]{Name: "out"})
			},
			`topic "out": it is published as string (codec.String) to topology_test.hello (codec.JSON[github.com/tidemark-dev/tidemark/topology_test.hello]) and as string (codec.String) to int64 (codec.Int64)`,
		},
		{
			"output without a codec", "hello", func(b *b) {
				all := topology.Consume(b, journal)
				topology.ToTable(all, hellos)
				topology.Publish(topology.MapValues(all, func(string, hello) []string { return nil }), topology.Topic[string, []string]{Name: "out"})
			},
			`topic "out": no codec for its values of type []string`,
		},
		{
			"output without a name", "hello", func(b *b) { topology.Publish(topology.Materialize(b, journal, hellos), topic{}) },
			`topic of string to topology_test.hello: it has no name`,
		},
		{
			"functions", "hello", func(b *b) {
				s := topology.Filter(topology.Consume(b, journal), nil)
				s = topology.MapValues[string, hello, hello](s, nil)
				s = topology.Try[string, hello, hello](s, nil)
				topology.Aggregate[string, hello, hello](s, hellos, nil)
			},
			"filter 1: the function is nil\nmap values 1: the function is nil\ntry 1: the function is nil\naggregate hello-state-store: the function is nil",
		},
		{
			"sinks", "hello", func(b *b) {
				table := topology.Materialize(b, journal, hellos)
				topology.Sync(table, nil)
				topology.Sync(table, (*memory)(nil))
				topology.Sync(table, &memory{"here"})
				topology.Sync(table, &memory{"there"})
				topology.Sync(table, &memory{"here"})
			},
			"store \"hello-state-store\": a sink of its table is nil\nstore \"hello-state-store\": a sink of its table is nil\n" +
				`store "hello-state-store": two sinks of its table are memory here, and would take the target from each other`,
		},
		{
			"stream without an end", "hello", func(b *b) {
				topology.Materialize(b, journal, hellos)
				topology.Filter(topology.Consume(b, other), func(string, hello) bool { return true })
			},
			`topic "other": it is read, and nothing is kept, published or called of it`,
		},
		{
			"several", "", func(b *b) { topology.Materialize(b, topic{Name: "in", Key: codec.String{}}, store{}) },
			"application: it has no name\n" +
				`topic "in": no codec for its values of type topology_test.hello` + "\n" +
				`table of topic in: store: it has no name`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := topology.NewBuilder(test.application)
			test.declare(b)
			topo, err := b.Build()
			if topo != nil || err == nil {
				t.Fatalf("built, want the error\n%s", test.want)
			}
			if err.Error() != test.want {
				t.Errorf("got\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

// What is left over from a mistake can be given to every verb.
func TestVerbsOfNothing(t *testing.T) {
	topology.Materialize(new(topology.Builder), journal, hellos)
	var s topology.Stream[string, hello]
	s = topology.Filter(s, nil)
	topology.Publish(topology.MapValues(s, func(string, hello) int64 { return 0 }), topology.Topic[string, int64]{})
	table := topology.ToTable(topology.Consume(nil, journal), hellos)
	topology.Sync(table, nil)
	topology.Publish(table, journal)
	topology.Publish[string, hello](nil, journal)
	topology.Publish(topology.Table[string, hello]{}, journal)
	topology.Sync(topology.Table[string, hello]{}, nil)
	topology.Count(s, counts)
	topology.Aggregate[string, hello, hello](topology.Try[string, hello, hello](s, nil), hellos, nil)
}

// A built topology does not change with what is declared later.
func TestBuildFreezes(t *testing.T) {
	b := topology.NewBuilder("hello")
	table := topology.Materialize(b, journal, hellos)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	topology.Publish(table, topology.Topic[string, hello]{Name: "late"})
	w, err := process(topo, record("a", testid))
	if err != nil || len(w.Records) > 0 || len(topo.Topics()) != 1 {
		t.Errorf("writes %v, %v, topics %q", w, err, topo.Topics())
	}
}
