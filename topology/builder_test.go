package topology_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

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
			`topic "in": it is read as string (codec.String) to string (codec.String) and as string (codec.String) to string (codec.String) with policies {Decode:2 Process:0 Write:0}`,
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
			if mistakes(t, err) != test.want {
				t.Errorf("got\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

// What was not declared has no builder that could report it: a verb that is given
// nothing else panics.
func TestVerbsOfNothing(t *testing.T) {
	type (
		Stream = topology.Stream[string, hello]
		Table  = topology.Table[string, hello]
	)
	for name, declare := range map[string]func(){
		"Consume":      func() { topology.Consume(nil, journal) },
		"Broadcast":    func() { topology.Broadcast(nil, journal, hellos) },
		"Filter":       func() { topology.Filter(Stream{}, nil) },
		"MapValues":    func() { topology.MapValues(Stream{}, func(string, hello) int64 { return 0 }) },
		"Split":        func() { topology.Split(Stream{}) },
		"Merge":        func() { topology.Publish(topology.Merge[string, hello](), journal) },
		"Merge zeros":  func() { topology.Merge(Stream{}, Stream{}) },
		"Cogroup":      func() { topology.Cogroup[string, hello](hellos) },
		"Cogroup zero": func() { topology.Cogroup(hellos, topology.Folded[string, hello]{}) },
		"Publish":      func() { topology.Publish(Table{}, journal) },
		"Publish nil":  func() { topology.Publish[string, hello](nil, journal) },
		"Route":        func() { topology.Route(Stream{}, nil) },
		"Sync":         func() { topology.Sync(Table{}, nil) },
		"ToTable":      func() { topology.ToTable(Stream{}, hellos) },
		"ToStream":     func() { topology.ToStream(Table{}) },
		"NewValues":    func() { topology.NewValues(Table{}) },
		"Count":        func() { topology.Count(Stream{}, counts) },
		"Window":       func() { topology.Window(Stream{}, topology.Tumbling{Size: time.Second}) },
		"Suppress":     func() { topology.Suppress(Table{}, hellos, topology.Until{Rows: 1}) },
		"Regroup":      func() { topology.Regroup[string, hello, string, hello](Table{}, journal, nil) },
		"Repartition":  func() { topology.Repartition(Stream{}, journal) },
		"Process":      func() { topology.Process[string, hello, string, hello](Stream{}, nil) },
		"Join": func() {
			topology.Join(Stream{}, Table{}, topology.Inner(func(string, hello, hello) hello { return hello{} }))
		},
		"JoinForeign": func() {
			topology.JoinForeign(Table{}, Table{}, hellos, func(string, hello) (string, bool) { return "", true },
				topology.Inner(func(string, hello, hello) hello { return hello{} }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.HasPrefix(p, "topology: a verb is given nothing") {
					t.Errorf("panic %q", p)
				}
			}()
			declare()
		})
	}
}

// Verbs that take several streams or tables take those of one builder.
func TestVerbsOfTwoBuilders(t *testing.T) {
	both := topology.Inner(func(string, hello, hello) hello { return hello{} })
	key := func(k string, _ hello) (string, bool) { return k, true }
	fold := func(_ string, _ hello, h hello) hello { return h }
	second := topology.Store[string, hello]{Name: "second"}
	result := topology.Store[string, hello]{Name: "result", Value: codec.JSON[hello]{}}
	for name, declare := range map[string]func(a, b *topology.Builder){
		"Merge": func(a, b *topology.Builder) {
			topology.Merge(topology.Consume(a, journal), topology.Consume(b, journal))
		},
		"Cogroup": func(a, b *topology.Builder) {
			topology.Cogroup(result, topology.Fold(topology.Consume(a, journal), fold), topology.Fold(topology.Consume(b, journal), fold))
		},
		"Join": func(a, b *topology.Builder) {
			topology.Join(topology.Consume(a, journal), topology.Materialize(b, journal, second), both)
		},
		"JoinGlobal": func(a, b *topology.Builder) {
			topology.JoinGlobal(topology.Consume(a, journal), topology.Broadcast(b, journal, second), key, both)
		},
		"JoinTables": func(a, b *topology.Builder) {
			topology.JoinTables(topology.Materialize(a, journal, hellos), topology.Materialize(b, journal, second), result, both)
		},
		"JoinForeign": func(a, b *topology.Builder) {
			topology.JoinForeign(topology.Materialize(a, journal, hellos), topology.Materialize(b, journal, second), result, key, both)
		},
		"JoinStreams": func(a, b *topology.Builder) {
			topology.JoinStreams(topology.Consume(a, journal), topology.Consume(b, journal), topology.Within{Name: "w"}, both)
		},
	} {
		t.Run(name, func(t *testing.T) {
			const want = "its sides are not of one builder"
			a, b := topology.NewBuilder("a"), topology.NewBuilder("b")
			declare(a, b)
			if _, err := a.Build(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("two builders: error %v", err)
			}
		})
	}
	// A zero value beside another one is reported by the other's builder.
	for _, declare := range []func(b *topology.Builder){
		func(b *topology.Builder) {
			topology.Merge(topology.Stream[string, hello]{}, topology.Consume(b, journal))
		},
		func(b *topology.Builder) {
			topology.Merge(topology.Consume(b, journal), topology.Stream[string, hello]{})
		},
		func(b *topology.Builder) {
			topology.Join(topology.Stream[string, hello]{}, topology.Materialize(b, journal, hellos), both)
		},
		func(b *topology.Builder) {
			topology.Cogroup(result, topology.Folded[string, hello]{}, topology.Fold(topology.Consume(b, journal), fold))
		},
		func(b *topology.Builder) {
			topology.Sync(topology.JoinForeign(topology.Table[string, hello]{}, topology.Materialize(b, journal, second), result, key, both), nil)
		},
	} {
		b := topology.NewBuilder("hello")
		declare(b)
		if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), "its sides are not of one builder") {
			t.Errorf("a zero value: error %v", err)
		}
	}
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
