package topology_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// The two sides of a join, and its results.
var (
	lefts   = topology.Topic[string, string]{Name: "lefts", Key: codec.String{}, Value: codec.String{}}
	rights  = topology.Topic[string, string]{Name: "rights", Key: codec.String{}, Value: codec.String{}}
	results = topology.Topic[string, string]{Name: "results", Value: codec.String{}}
	joined  = topology.Store[string, string]{Name: "joined", Value: codec.String{}}
)

func text(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

// joiners are all kinds of one joiner, as AbstractJoinIntegrationTest has it.
var (
	innerText = topology.Inner(func(_, l, r string) string { return l + "-" + r })
	leftText  = topology.Left(func(_, l string, r *string) string { return l + "-" + text(r) })
	outerText = topology.Outer(func(_ string, l, r *string) string { return text(l) + "-" + text(r) })
)

// A moment is one record, and the results that it has: "A-a@4 B-a@5", with
// "key: " before those of another key than "k", "-: " before those without one.
// The record is "left A 3": its topic, its value and its time in milliseconds;
// a fourth word is its key. A value of null is none, a key of - is none.
type moment struct{ record, results string }

// play sends the records of moments and compares their results, once with a
// restart after each.
func play(t *testing.T, declare func(*topology.Builder), moments []moment) {
	t.Helper()
	for _, restarts := range []bool{false, true} {
		d := topologytest.New(t, build(t, declare), 1)
		for i, m := range moments {
			send(t, d, m.record)
			if got := received(d); got != m.results {
				t.Errorf("restarts %v: record %d, %q: results %q, want %q", restarts, i, m.record, got, m.results)
			}
			if restarts {
				d.Restart()
			}
		}
	}
}

func send(t *testing.T, d *topologytest.Driver, record string) {
	t.Helper()
	words := strings.Fields(record)
	var at int64
	if _, err := fmt.Sscan(words[2], &at); err != nil {
		t.Fatal(err)
	}
	d.At(time.UnixMilli(at))
	topic, key := lefts, "k"
	if words[0] == "right" {
		topic = rights
	}
	if len(words) > 3 {
		key = words[3]
	}
	switch {
	case key == "-":
		d.SendRaw(topology.Raw{Value: []byte(words[1]), Position: topology.Position{Topic: topic.Name}})
	case words[1] == "null":
		topologytest.Delete(d, topic, key)
	default:
		topologytest.Send(d, topic, key, words[1])
	}
}

// received writes what was published since the last call.
func received(d *topologytest.Driver) string {
	var all []string
	raw := topology.Topic[string, string]{Name: results.Name}
	for _, r := range topologytest.Received(d, raw) {
		all = append(all, result(r))
	}
	return strings.Join(all, " ")
}

func result(r topology.Record[string, *string]) string {
	line := fmt.Sprintf("%s@%d", text(r.Value), r.Time.UnixMilli())
	switch r.Key {
	case "k":
	case "":
		line = "-:" + line
	default:
		line = r.Key + ":" + line
	}
	return line
}

// AbstractJoinIntegrationTest.input: the end of it is out of order.
var disorder = []string{
	"left null 1", "right null 2", "left A 3", "right a 4", "left B 5", "right b 6", "left null 7", "right null 8",
	"left C 9", "right c 10", "right null 11", "left null 12", "right null 13", "right d 7", "left D 6", "left null 2",
	"right null 3", "right e 14", "left E 15", "left null 10", "right null 9", "left F 4", "right f 3",
}

// AbstractJoinIntegrationTest.inputWithoutOutOfOrderData.
var inOrder = []string{
	"left null 1", "right null 2", "left A 3", "right a 4", "left B 5", "right b 6", "left null 7", "right null 8",
	"left C 9", "right c 10", "right null 11", "left null 12", "right null 13", "right d 14", "left D 15",
	"left E 16 -", "right e 17 -",
}

// moments gives each record of a sequence its results.
func moments(t *testing.T, records []string, results map[string]string) (ms []moment) {
	t.Helper()
	used := 0
	for _, r := range records {
		if _, ok := results[r]; ok {
			used++
		}
		ms = append(ms, moment{r, results[r]})
	}
	if used != len(results) {
		t.Fatalf("%d of %d results are of records of the sequence", used, len(results))
	}
	return ms
}

// StreamTableJoinIntegrationTest.testInner, testLeft.
func TestJoin(t *testing.T) {
	for _, test := range []struct {
		name    string
		by      topology.Joiner[string, string, string, string]
		results map[string]string
	}{
		{"inner", innerText, map[string]string{
			"left B 5": "B-a@5", "left D 6": "D-d@6", "left E 15": "E-e@15",
		}},
		{"left", leftText, map[string]string{
			"left A 3": "A-null@3", "left B 5": "B-a@5", "left C 9": "C-null@9", "left D 6": "D-d@6",
			"left E 15": "E-e@15", "left F 4": "F-null@4",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			play(t, func(b *topology.Builder) {
				table := topology.Materialize(b, rights, last)
				topology.Publish(topology.Join(topology.Consume(b, lefts), table, test.by), results)
			}, moments(t, disorder, test.results))
		})
	}
}

// KStreamKTableLeftJoinTest.shouldNotClearOutputWhenLeftKeyIsNull and its like
// (KIP-962), KStreamKTableJoinTest.shouldLogAndMeterWhenSkippingNullLeftValue.
func TestJoinWithoutAKey(t *testing.T) {
	for _, test := range []struct {
		name string
		by   topology.Joiner[string, string, string, string]
		want string
	}{{"inner", innerText, ""}, {"left", leftText, "-:A-null@2"}} {
		t.Run(test.name, func(t *testing.T) {
			play(t, func(b *topology.Builder) {
				table := topology.Materialize(b, rights, last)
				topology.Publish(topology.Join(topology.Consume(b, lefts), table, test.by), results)
			}, []moment{{"right a 1", ""}, {"left A 2 -", test.want}})
		})
	}
}

// A join may see what the record has done to the table: the steps of a record
// run in the order of their declaration.
func TestJoinWithATableOfTheSameTopic(t *testing.T) {
	play(t, func(b *topology.Builder) {
		all := topology.Consume(b, lefts)
		table := topology.ToTable(all, last)
		topology.Publish(topology.Join(all, table, leftText), results)
	}, []moment{{"left A 1", "A-A@1"}, {"left B 2", "B-B@2"}, {"left null 3", ""}, {"left C 4", "C-C@4"}})
}

var (
	states    = topology.Topic[string, string]{Name: "states", Key: codec.JSON[string]{}, Value: codec.String{}}
	allStates = topology.Store[string, string]{Name: "all-states"}
)

// KStreamGlobalKTableJoinTest, KStreamGlobalKTableLeftJoinTest: the key is the
// record's value without its first letter; that of "x" is missing.
func TestJoinGlobal(t *testing.T) {
	key := func(_, v string) (string, bool) { return v[1:], v != "x" }
	for _, test := range []struct {
		name string
		by   topology.Joiner[string, string, string, string]
		want string
	}{
		{"inner", innerText, "A1-one@1 -:A1-one@3"},
		{"left", leftText, "A1-one@1 A2-null@2 -:A1-one@3 x-null@4"},
	} {
		t.Run(test.name, func(t *testing.T) {
			topo := build(t, func(b *topology.Builder) {
				global := topology.Broadcast(b, states, allStates)
				topology.Publish(topology.JoinGlobal(topology.Consume(b, lefts), global, key, test.by), results)
			})
			d := topologytest.New(t, topo, 4)
			topologytest.Send(d, states, "1", "one")
			for _, r := range []string{"left A1 1", "left A2 2", "left A1 3 -", "left x 4", "left null 5"} {
				send(t, d, r)
			}
			if got := received(d); got != test.want {
				t.Errorf("results %q, want %q", got, test.want)
			}
			topologytest.Send(d, states, "2", "two")
			topologytest.Delete(d, states, "1")
			if got := received(d); got != "" {
				t.Errorf("a change of the global table has results: %q", got)
			}
			send(t, d, "left A2 6")
			if got := received(d); got != "A2-two@6" {
				t.Errorf("results %q", got)
			}
		})
	}
}

// Where values can be nil, a record or a row whose value is JSON's null has none.
func TestJoinOfValuesThatCanBeNil(t *testing.T) {
	from := topology.Topic[string, *hello]{Name: "from", Key: codec.String{}, Value: codec.JSON[*hello]{}}
	rows := topology.Topic[string, *hello]{Name: "rows", Key: codec.String{}, Value: codec.JSON[*hello]{}}
	d := drive(t, func(b *topology.Builder) {
		table := topology.Materialize(b, rows, topology.Store[string, *hello]{Name: "table"})
		by := topology.Left(func(_ string, l *hello, r **hello) string {
			if l == nil {
				t.Error("it was given a nil record")
			}
			return fmt.Sprint(l.State, " ", r != nil)
		})
		topology.Publish(topology.Join(topology.Consume(b, from), table, by), results)
	})
	null := func(topic string) topology.Raw {
		return topology.Raw{Key: []byte("k"), Value: []byte("null"), Position: topology.Position{Topic: topic}}
	}
	topologytest.Send(d, from, "k", &hello{State: "A"})
	topologytest.Send(d, rows, "k", &hello{})
	topologytest.Send(d, from, "k", &hello{State: "B"})
	d.SendRaw(null("from"))
	d.SendRaw(null("rows"))
	topologytest.Send(d, from, "k", &hello{State: "C"})
	if got, want := received(d), "A false@0 B true@0 C false@0"; got != want {
		t.Errorf("results %q, want %q", got, want)
	}
}

func TestJoinRefusesARowThatCannotBeRead(t *testing.T) {
	d := drive(t, func(b *topology.Builder) {
		rows := topology.Materialize(b, other, hellos)
		by := topology.Inner(func(_, l string, h hello) string { return l + h.State })
		topology.Publish(topology.Join(topology.Consume(b, lefts), rows, by), results)
	})
	d.SendRaw(topology.Raw{Key: []byte("k"), Value: []byte(`{"helloCount":"x"}`), Position: topology.Position{Topic: other.Name}})
	send(t, d, "left A 1")
	wantErrors(t, d, `record lefts/0@0: join 1: decode row: json: cannot unmarshal string into Go struct field hello.helloCount of type int64`)
}

func TestJoinMistakes(t *testing.T) {
	numbered := topology.Topic[int64, string]{Name: "numbered", Key: codec.Int64{}, Value: codec.String{}}
	wantMistakes(t, map[string]func(*topology.Builder){
		"join 1: the function is nil": func(b *topology.Builder) {
			topology.Publish(topology.Join(topology.Consume(b, lefts), topology.Materialize(b, rights, last),
				topology.Inner[string, string, string, string](nil)), results)
		},
		"join 1: there is no outer join of this kind: a right row without a left record has no result: use Left": func(b *topology.Builder) {
			topology.Publish(topology.Join(topology.Consume(b, lefts), topology.Materialize(b, rights, last), outerText), results)
		},
		"join 1: a step before it has changed keys, so that records of one key lie in several partitions: put Repartition between": func(b *topology.Builder) {
			moved := topology.SelectKey(topology.Consume(b, lefts), func(_, v string) string { return v })
			topology.Publish(topology.Join(moved, topology.Materialize(b, rights, last), innerText), results)
		},
		"join 1: keys of topic lefts are encoded by codec.String, those of table last by codec.JSON[string]: equal ones would not meet": func(b *topology.Builder) {
			from := rights
			from.Key = codec.JSON[string]{}
			topology.Publish(topology.Join(topology.Consume(b, lefts), topology.Materialize(b, from, last), innerText), results)
		},
		"join 1: its sides are not of one builder: is one of them a zero value?": func(b *topology.Builder) {
			topology.Publish(topology.Join(topology.Consume(b, lefts), topology.Table[string, string]{}, innerText), results)
		},
		"join global 1: the function is nil\njoin global 1: there is no outer join of this kind: a right row without a left record has no result: use Left": func(b *topology.Builder) {
			topology.Publish(topology.JoinGlobal(topology.Consume(b, lefts), topology.Broadcast(b, states, allStates), nil, outerText), results)
		},
		"as 1: the codec is nil": func(b *topology.Builder) {
			topology.ForEach(topology.As(topology.Consume(b, numbered), nil), func(int64, string) {})
		},
	})
}

// wantMistakes builds topologies with mistakes, by what Build says of them.
func wantMistakes(t *testing.T, declare map[string]func(*topology.Builder)) {
	t.Helper()
	for want, declare := range declare {
		b := topology.NewBuilder("hello")
		declare(b)
		_, err := b.Build()
		if err == nil {
			t.Errorf("no error, want %q", want)
		} else if diff := cmp.Diff(want, mistakes(t, err)); diff != "" {
			t.Errorf("error (-want +got):\n%s", diff)
		}
	}
}

func TestPictureOfJoins(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		all := topology.Consume(b, lefts)
		table := topology.Materialize(b, rights, last)
		global := topology.Broadcast(b, states, allStates)
		byState := func(_, v string) (string, bool) { return v, true }
		topology.Publish(topology.JoinGlobal(topology.Join(all, table, innerText), global, byState, leftText), results)
	})
	topologytest.Golden(t, topo.String(), "testdata/join.golden")
}

func TestAs(t *testing.T) {
	d := drive(t, func(b *topology.Builder) {
		parsed := topology.As(topology.Try(topology.Consume(b, lines), parse), codec.Int64{})
		topology.Publish(parsed, topology.Topic[string, int64]{Name: "numbers"}) // has the codec of As
		again := topology.As(topology.Consume(b, lines), codec.String{})
		topology.Publish(again, topology.Topic[string, string]{Name: "copy"})
		topology.Publish(topology.As(again, codec.JSON[string]{}), topology.Topic[string, string]{Name: "texts", Value: codec.JSON[string]{}})
	})
	topologytest.Send(d, lines, "k", "7")
	topologytest.Delete(d, lines, "k")
	if diff := cmp.Diff([]int64{7}, values(topologytest.Received(d, topology.Topic[string, int64]{Name: "numbers"}))); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
	for _, topic := range []string{"copy", "texts"} {
		got := topologytest.Received(d, topology.Topic[string, string]{Name: topic})
		if len(got) != 2 || text(got[0].Value) != "7" || got[1].Value != nil {
			t.Errorf("%s: %v", topic, got)
		}
	}
}
