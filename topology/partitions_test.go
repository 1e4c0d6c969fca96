package topology_test

import (
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

func TestPartitions(t *testing.T) {
	topic := func(name string) topology.Topic[string, string] {
		return topology.Topic[string, string]{Name: name, Key: codec.String{}, Value: codec.String{}}
	}
	through := func(name string, partitions int) topology.Topic[string, string] {
		return topology.Topic[string, string]{Name: name, Partitions: partitions}
	}
	rekey := func(_, v string) string { return v }
	// sent goes from a topic through another one.
	sent := func(b *topology.Builder, from, via string, partitions int) topology.Stream[string, string] {
		return topology.Repartition(topology.SelectKey(topology.Consume(b, topic(from)), rekey), through(via, partitions))
	}
	count := func(s topology.Stream[string, string], name string) {
		topology.Count(s, topology.Store[string, int64]{Name: name, Value: codec.Int64{}})
	}
	for _, test := range []struct {
		name    string
		declare func(*topology.Builder)
		known   string
		want    string // of topics that are not known
	}{
		{
			"a changelog is as its input",
			func(b *topology.Builder) {
				topology.Materialize(b, topic("in"), topology.Store[string, string]{Name: "s"})
			},
			"in=3 foreign=9", "app-s-table=3",
		},
		{
			"as its writer's input",
			func(b *topology.Builder) { count(sent(b, "in", "r", 0), "s") },
			"in=3", "r=3 app-s-table=3",
		},
		{
			"as it wants",
			func(b *topology.Builder) { count(sent(b, "in", "r", 8), "s") },
			"in=3", "r=8 app-s-table=8",
		},
		{
			"as its reader's other input, whatever its writer's has",
			func(b *topology.Builder) {
				count(topology.Merge(sent(b, "in", "r", 0), topology.Consume(b, topic("beside"))), "s")
			},
			"in=7 beside=3", "r=3 app-s-table=3",
		},
		{
			"as a repartition topic beside it that wants something",
			func(b *topology.Builder) { count(topology.Merge(sent(b, "a", "r1", 0), sent(b, "b", "r2", 5)), "s") },
			"a=7 b=9", "r1=5 r2=5 app-s-table=5",
		},
		{
			"beside each other, as the largest input of their writers",
			func(b *topology.Builder) { count(topology.Merge(sent(b, "a", "r1", 0), sent(b, "b", "r2", 0)), "s") },
			"a=2 b=4", "r1=4 r2=4 app-s-table=4",
		},
		{
			"as the largest of its writer's inputs",
			func(b *topology.Builder) {
				both := topology.Merge(topology.Consume(b, topic("a")), topology.Consume(b, topic("b")))
				count(topology.Repartition(topology.SelectKey(both, rekey), through("r", 0)), "s")
			},
			"a=2 b=4", "r=4 app-s-table=4",
		},
		{
			"one after the other, in whatever order of names",
			func(b *topology.Builder) {
				second := topology.Repartition(topology.SelectKey(sent(b, "in", "z", 0), rekey), through("y", 0))
				third := topology.Repartition(topology.SelectKey(second, rekey), through("a", 0))
				count(third, "s")
			},
			"in=6", "z=6 y=6 a=6 app-s-table=6",
		},
		{
			"as beside what is beside its second reader",
			func(b *topology.Builder) {
				r := sent(b, "a", "r1", 0)
				count(topology.Merge(r, sent(b, "b", "r2", 0)), "s1")
				count(topology.Merge(r, topology.Consume(b, topic("c"))), "s2")
			},
			"a=2 b=4 c=5", "r1=5 r2=5 app-s1-table=5 app-s2-table=5",
		},
		{
			"as the other input of a reader without rows",
			func(b *topology.Builder) {
				topology.Publish(topology.Merge(sent(b, "a", "r", 0), topology.Consume(b, topic("b"))), topic("out"))
			},
			"a=2 b=4 out=1", "r=4",
		},
		{
			"inputs of a group without rows may differ",
			func(b *topology.Builder) {
				topology.Publish(topology.Merge(topology.Consume(b, topic("a")), topology.Consume(b, topic("b"))), topic("out"))
			},
			"a=2 b=4 out=1", "",
		},
		{
			"what exists as it is to be",
			func(b *topology.Builder) { count(sent(b, "in", "r", 0), "s") },
			"in=3 r=3 app-s-table=3", "",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := topology.NewBuilder("app")
			test.declare(b)
			topo, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			known := countsOf(t, test.known)
			got, err := topo.Partitions(known)
			if err != nil {
				t.Fatal(err)
			}
			want := countsOf(t, test.want)
			maps.Copy(want, known)
			delete(want, "foreign")
			if !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestPartitionsThatCannotBe(t *testing.T) {
	topic := func(name string) topology.Topic[string, string] {
		return topology.Topic[string, string]{Name: name, Key: codec.String{}, Value: codec.String{}}
	}
	b := topology.NewBuilder("app")
	kept := func(name string, of ...topology.Stream[string, string]) {
		topology.ToTable(topology.Merge(of...), topology.Store[string, string]{Name: name})
	}
	through := func(name string, partitions int) topology.Stream[string, string] {
		return topology.Repartition(topology.Consume(b, topic("a")), topology.Topic[string, string]{Name: name, Partitions: partitions})
	}
	kept("s1", topology.Consume(b, topic("a")), topology.Consume(b, topic("b")), through("r1", 0))
	kept("s2", topology.Consume(b, topic("a")), through("r2", 5))
	kept("s3", through("r3", 2), through("r4", 3))
	kept("s4", topology.Consume(b, topic("a")))
	topology.Publish(topology.Consume(b, topic("none")), topic("nowhere"))
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	_, err = topo.Partitions(countsOf(t, "a=4 b=6 r2=4 app-s4-table=2"))
	want := strings.Join([]string{
		`input topic "none" does not exist: create it, with as many partitions as instances may share`,
		`output topic "nowhere" does not exist: create it, with as many partitions as instances may share`,
		`repartition topic "r2" has 4 partitions, and is to have 5: let it be read to its end, delete it and start again, or set Partitions: 4 on the topic`,
		`group app-s1: its inputs must have as many partitions as each other, for what belongs together to meet: "a" has 4, "b" has 6, "r1" has 6: send some of them through Repartition`,
		`group app-s2: its inputs must have as many partitions as each other, for what belongs together to meet: "a" has 4, "r2" has 5: change Partitions of "r2"`,
		`group app-s3: its inputs must have as many partitions as each other, for what belongs together to meet: "r3" has 2, "r4" has 3: change Partitions of "r3", "r4"`,
		`changelog topic "app-s4-table" has 2 partitions, but its input "a" has 4: a table cannot be repartitioned, start it under another name`,
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// countsOf reads "topic=3 other=4".
func countsOf(t *testing.T, text string) map[string]int32 {
	t.Helper()
	m := map[string]int32{}
	for _, each := range strings.Fields(text) {
		name, count, _ := strings.Cut(each, "=")
		n, err := strconv.Atoi(count)
		if err != nil {
			t.Fatal(err)
		}
		m[name] = int32(n)
	}
	return m
}
