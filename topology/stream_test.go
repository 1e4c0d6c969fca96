package topology_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// lines is a topic of text, and what the tests here keep and publish of it.
var (
	lines   = topology.Topic[string, string]{Name: "lines", Key: codec.String{}, Value: codec.String{}}
	numbers = topology.Topic[string, int64]{Name: "numbers", Value: codec.Int64{}}
	last    = topology.Store[string, string]{Name: "last"}
	sums    = topology.Store[string, int64]{Name: "sums", Value: codec.Int64{}}
)

func even(_ string, n int64) bool { return n%2 == 0 }

func parse(_, line string) (int64, error) { return strconv.ParseInt(line, 10, 64) }

func add(_ string, n, sum int64) int64 { return sum + n }

func TestStepsAreTakenInOrder(t *testing.T) {
	d := drive(t, func(b *topology.Builder) {
		all := topology.Try(topology.Consume(b, lines), parse)
		twice := topology.MapValues(topology.Filter(all, even), func(_ string, n int64) int64 { return 2 * n })
		topology.Publish(twice, numbers)
		topology.Aggregate(twice, sums, add)
		topology.Publish(all, topology.Topic[string, int64]{Name: "all", Value: codec.JSON[int64]{}})
	})
	for _, line := range []string{"1", "2", "x", "4"} {
		topologytest.Send(d, lines, "k", line)
	}
	refused := `record lines/0@2: try 1: strconv.ParseInt: parsing "x": invalid syntax`
	wantErrors(t, d, refused, refused) // by the group that publishes, and by that of the table
	if diff := cmp.Diff([]int64{4, 8}, values(topologytest.Received(d, numbers))); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
	all := topologytest.Received(d, topology.Topic[string, int64]{Name: "all"})
	if diff := cmp.Diff([]int64{1, 2, 4}, values(all)); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int64{"k": 12}, topologytest.Rows(d, sums)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// A topic that feeds two tables is read by two groups, and by a third that
// publishes what it holds.
func TestTwoTablesOfOneTopic(t *testing.T) {
	declare := func(b *topology.Builder) {
		all := topology.Filter(topology.Consume(b, lines), func(_, line string) bool { return line != "" })
		topology.Publish(all, topology.Topic[string, string]{Name: "copy"})
		topology.ToTable(all, last)
		topology.Publish(topology.Count(all, counts), numbers)
		topology.Materialize(b, other, hellos)
	}
	var got []string
	for _, g := range build(t, declare).Groups() {
		got = append(got, fmt.Sprintf("%s reads %s, keeps %v, publishes %q", g.Name, g.Inputs, changelogs(g), g.Outputs))
	}
	want := []string{
		`hello-lines reads [lines], keeps [], publishes ["copy"]`,
		`hello-last reads [lines], keeps [hello-last-table], publishes []`,
		`hello-hello-counts reads [lines], keeps [hello-hello-counts-table], publishes ["numbers"]`,
		`hello-hello-state-store reads [other], keeps [hello-hello-state-store-table], publishes []`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	d := drive(t, declare)
	topologytest.Send(d, lines, "k", "a")
	topologytest.Send(d, lines, "k", "")
	topologytest.Send(d, lines, "k", "b")
	if got := topologytest.Received(d, topology.Topic[string, string]{Name: "copy"}); len(got) != 2 {
		t.Errorf("%d copies of 2 records", len(got))
	}
	if diff := cmp.Diff(map[string]string{"k": "b"}, topologytest.Rows(d, last)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int64{"k": 2}, topologytest.Rows(d, counts)); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func changelogs(g *topology.Group) (topics []string) {
	for _, s := range g.Stores {
		topics = append(topics, s.Changelog)
	}
	return topics
}

// A record without a value passes where no function looks, and is shown to a
// function only if the type has a nil.
func TestTombstonesOfAStream(t *testing.T) {
	seen := 0
	never := func(b *topology.Builder) {
		all := topology.Consume(b, lines)
		topology.Publish(all, topology.Topic[string, string]{Name: "copy"})
		topology.ToTable(topology.Filter(all, func(string, string) bool { seen++; return true }), last)
	}
	w, err := process(build(t, never), topology.Raw{Key: []byte("k"), Position: topology.Position{Topic: "lines"}})
	if err != nil || !w.Dropped || len(w.Rows) != 0 || len(w.Records) != 1 || w.Records[0].Value != nil || seen != 0 {
		t.Errorf("writes %+v, %v, seen %d times", w, err, seen)
	}

	shown := func(b *topology.Builder) {
		from := topology.Topic[string, *hello]{Name: "in", Key: codec.String{}, Value: codec.JSON[*hello]{}}
		all := topology.Filter(topology.Consume(b, from), func(_ string, h *hello) bool { seen++; return h == nil })
		topology.ToTable(all, topology.Store[string, *hello]{Name: "rows"})
	}
	for _, value := range [][]byte{nil, []byte("null")} {
		seen = 0
		w, err = process(build(t, shown), topology.Raw{Key: []byte("k"), Value: value, Position: topology.Position{Topic: "in"}})
		if err != nil || w.Dropped || len(w.Rows) != 1 || w.Rows[0].Value != nil || seen != 1 {
			t.Errorf("value %q: writes %+v, %v, seen %d times", value, w, err, seen)
		}
	}
}

// A record without a key passes where none is needed, and shows the zero key.
func TestRecordsWithoutAKey(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		all := topology.Filter(topology.Consume(b, lines), func(k, _ string) bool { return k == "" })
		topology.Publish(all, topology.Topic[string, string]{Name: "copy"})
		topology.Count(all, counts)
	})
	w, err := process(topo, topology.Raw{Value: []byte("x"), Position: topology.Position{Topic: "lines"}})
	if err != nil || !w.Dropped || len(w.Rows) != 0 || len(w.Records) != 1 || w.Records[0].Key != nil {
		t.Errorf("writes %+v, %v", w, err)
	}
}

// Keys and values are written anew for a topic with other codecs.
func TestPublishWithOtherCodecs(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		table := topology.Materialize(b, journal, topology.Store[string, hello]{Name: "rows", Value: wrapped{}})
		topology.Publish(table, topology.Topic[string, hello]{Name: "out", Key: codec.JSON[string]{}, Value: codec.JSON[hello]{}})
	})
	w, err := process(topo, record("a", `{"state":"HAPPY", "mood":7}`))
	if err != nil {
		t.Fatal(err)
	}
	got := []string{string(w.Rows[0].Value), string(w.Records[0].Key), string(w.Records[0].Value)}
	want := []string{
		`v1 {"state":"HAPPY","helloCount":0,"helloTotalCount":0}`,
		`"a"`,
		`{"state":"HAPPY","helloCount":0,"helloTotalCount":0}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w, err = process(topo, topology.Raw{Key: []byte("a"), Position: topology.Position{Topic: "hello-log-store"}})
	if err != nil || w.Rows[0].Value != nil || w.Records[0].Value != nil || string(w.Records[0].Key) != `"a"` {
		t.Errorf("tombstone: writes %+v, %v", w, err)
	}
}

// wrapped puts a word in front of JSON. It can't check.
type wrapped struct{}

func (wrapped) Encode(h hello) ([]byte, error) {
	data, err := codec.JSON[hello]{}.Encode(h)
	return append([]byte("v1 "), data...), err
}

func (wrapped) Decode(data []byte) (hello, error) {
	rest, ok := strings.CutPrefix(string(data), "v1 ")
	if !ok {
		return hello{}, errors.New("no version")
	}
	return codec.JSON[hello]{}.Decode([]byte(rest))
}

func drive(t *testing.T, declare func(*topology.Builder)) *topologytest.Driver {
	t.Helper()
	return topologytest.New(t, build(t, declare), 1)
}

func values[K, V any](records []topology.Record[K, *V]) (vs []V) {
	for _, r := range records {
		vs = append(vs, *r.Value)
	}
	return vs
}

func wantErrors(t *testing.T, d *topologytest.Driver, want ...string) {
	t.Helper()
	var got []string
	for _, err := range d.Errors() {
		got = append(got, err.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}
