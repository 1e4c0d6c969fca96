package topology_test

import (
	"iter"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// A row goes when it was not written for its TTL of stream time, before the
// record by which the time is over is processed; what is downstream is told, as
// of the moment at which it was due.
func TestTTL(t *testing.T) {
	short := last
	short.TTL = 10 * time.Millisecond
	d := drive(t, func(b *topology.Builder) {
		table := topology.Materialize(b, lines, short)
		topology.Publish(table, out)
		topology.Count(topology.ToStream(topology.Derive(table, evens, isEven)), tally)
	})
	holds(t, d, []truth{
		{in("a", "2", 0), "a=2@0"},
		{in("b", "4", 3), "b=4@3"},
		{in("a", "6", 5), "a=6@5"},
		{in("c", "1", 12), "c=1@12"},
		{in("c", "1", 13), "b deleted@13 c=1@13"},
		{in("d", "2", 2), "d=2@2 d deleted@12"}, // it comes too late to stay
		{in("a", "8", 15), "a deleted@15 a=8@15"},
		{in("e", "1", 100), "c deleted@23 a deleted@25 e=1@100"},
	})
	d.Restart()
	holds(t, d, []truth{
		{in("f", "1", 109), "f=1@109"},
		{in("f", "1", 110), "e deleted@110 f=1@110"},
		{in("f", "null", 111), "f deleted@111"},
		{in("g", "1", 130), "g=1@130"},
	})
	if diff := cmp.Diff(map[string]string{"g": "1"}, topologytest.Rows(d, short)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if got := topologytest.Rows(d, evens); len(got) != 0 {
		t.Errorf("derived rows %v, want none", got)
	}
	if diff := cmp.Diff(map[string]int64{"a": 0, "b": 0, "d": 0}, topologytest.Rows(d, tally)); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// An aggregate begins anew after its TTL, whether or not other keys have moved
// the time on before.
func TestTTLOfAnAggregate(t *testing.T) {
	short := topology.Store[string, int64]{Name: "tally", TTL: 10 * time.Millisecond}
	for _, between := range []bool{true, false} {
		d := drive(t, func(b *topology.Builder) { topology.Count(topology.Consume(b, lines), short) })
		for _, at := range []int64{0, 9, 18, 30} {
			d.SendRaw(in("a", "x", at).raw())
			if between {
				d.SendRaw(in("b", "x", at+5).raw())
			}
		}
		if got := topologytest.Rows(d, short)["a"]; got != 1 {
			t.Errorf("with others between: %t: counted to %d, want 1", between, got)
		}
	}
}

// The rows of a step's own store go without a word.
func TestTTLOfAnOpenStore(t *testing.T) {
	short := memo
	short.TTL = 10 * time.Millisecond
	declare := func(c *ownContext) func(ownLine) error {
		rows, again := topology.Open(c, short), topology.Open(c, short)
		return func(r ownLine) error {
			rows.Set(r.Key, r.Value)
			text := ""
			for k, v := range again.All() {
				text += k + v
			}
			c.Emit(ownLine{Key: "all", Value: text})
			return nil
		}
	}
	d := drive(t, own(declare))
	holds(t, d, []truth{
		{in("a", "1", 0), "all=a1@0"},
		{in("b", "2", 9), "all=a1b2@9"},
		{in("c", "3", 10), "all=b2c3@10"},
		{in("a", "4", 0), "all=a4b2c3@0"},
		{in("c", "5", 11), "all=b2c5@11"},
	})
}

// What expires in a table derived from windows goes with the windows.
func TestTTLOfDerivedWindows(t *testing.T) {
	type windowed = topology.Windowed[string]
	minutes := topology.Store[windowed, int64]{Name: "minutes", TTL: time.Hour}
	many := topology.Store[windowed, int64]{Name: "many"}
	for _, ttl := range []time.Duration{0, 2 * time.Hour} {
		many.TTL = ttl
		d := drive(t, func(b *topology.Builder) {
			table := topology.Count(topology.Window(topology.Consume(b, lines), topology.Tumbling{Size: time.Minute}), minutes)
			topology.Derive(table, many, func(_ windowed, n int64) (int64, bool) { return n, n > 1 })
		})
		for _, at := range []time.Duration{0, 1, 119 * time.Minute, 119*time.Minute + 1, 120 * time.Minute} {
			d.SendRaw(in("a", "x", at.Milliseconds()).raw())
		}
		want := map[time.Duration]int{0: 1, 2 * time.Hour: 1}[ttl]
		if got := len(topologytest.Rows(d, many)); got != want {
			t.Errorf("TTL %v: %d rows, want %d", ttl, got, want)
		}
	}
}

func TestMistakesOfTTL(t *testing.T) {
	b := topology.NewBuilder("hello")
	short := last
	short.TTL = -time.Second
	topology.Materialize(b, lines, short)
	topology.Count(topology.Consume(b, lines), topology.Store[string, int64]{Name: "n", TTL: 1500 * time.Microsecond, Value: codec.Int64{}})
	_, err := b.Build()
	want := "store \"last\": TTL is -1s: it is to be whole milliseconds, or none\nstore \"n\": TTL is 1.5ms: it is to be whole milliseconds, or none"
	if err == nil || mistakes(t, err) != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
}

// lasting are rows that are due at once.
type lasting struct{ rows }

func (l lasting) Due() iter.Seq2[topology.Row, error] {
	return func(yield func(topology.Row, error) bool) {
		for k, v := range l.rows {
			if !yield(topology.Row{Key: []byte(k), Value: v}, nil) {
				return
			}
		}
	}
}

// A step that fails while a row goes blames no record, and the row stays due.
func TestTTLFails(t *testing.T) {
	short := last
	short.TTL = 10 * time.Millisecond
	fails := true
	topo := build(t, func(b *topology.Builder) {
		topology.ForEach(topology.ToStream(topology.Materialize(b, lines, short)), func(k string, c topology.Change[string]) {
			if c.New == nil && fails {
				panic("no")
			}
		})
	})
	task := start(topo.Groups()[0], lasting{rows{"a": []byte("1")}})
	_, err := task.Process(in("b", "2", 10).raw())
	if err == nil || !regexp.MustCompile(`^table last: TTL of a row: panic at ttl_test.go:[0-9]+: no$`).MatchString(err.Error()) {
		t.Errorf("error %v", err)
	}
	fails = false
	if w, err := task.Process(in("b", "2", 10).raw()); err != nil || len(w.Rows) != 2 || w.Rows[0].Value != nil {
		t.Errorf("afterwards: %+v, %v", w, err)
	}
}
