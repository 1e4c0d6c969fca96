package redis_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// byNumber is a table of numbers by number, as the topology formats it.
func byNumber(t *testing.T) topology.Source {
	b := topology.NewBuilder("app")
	numbers := topology.Topic[int64, int64]{Name: "numbers", Key: codec.Int64{}, Value: codec.Int64{}}
	topology.Materialize(b, numbers, topology.Store[int64, int64]{Name: "numbers-by-number"})
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topology.Source{Table: "numbers", Owner: topology.Owner{Application: "app", Cluster: "c"}, Format: topo.Groups()[0].Stores[0].Format}
}

func number(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

// openedAs opens a source, and expects the position.
func openedAs(t *testing.T, sink topology.Sink, from topology.Source, position string) topology.Batch {
	t.Helper()
	place, err := sink.Open(t.Context(), from, 0)
	if err != nil {
		t.Fatal(err)
	}
	if place.Position != position {
		t.Errorf("opened at %q, want %q", place.Position, position)
	}
	return topology.Batch{Source: from, Epoch: place.Epoch, From: place.Position, To: place.Position}
}

// heldBy returns the keys that a sink yields, and the names that are no row's.
func heldBy(t *testing.T, sink topology.Sink, of topology.Source) (keys, stale []string) {
	t.Helper()
	for held, err := range sink.Keys(t.Context(), of) {
		switch {
		case err != nil:
			t.Fatal(err)
		case held.Key == nil:
			stale = append(stale, string(held.Name))
		default:
			keys = append(keys, string(held.Key))
		}
	}
	slices.Sort(keys)
	slices.Sort(stale)
	return slices.Compact(keys), slices.Compact(stale)
}

func rowKeys(m *miniredis.Miniredis) (keys []string) {
	for _, key := range m.Keys() {
		if !strings.HasPrefix(key, "tidemark:") {
			value, _ := m.Get(key)
			keys = append(keys, fmt.Sprintf("%q %q", key, value))
		}
	}
	return keys
}

// One table after the other is written in each format: what the one before has
// left is found, and the position is not believed.
func TestRedisFormats(t *testing.T) {
	m := miniredis.RunT(t)
	doubled := func(key []byte) (string, error) {
		n := binary.BigEndian.Uint64(key)
		if n == 13 {
			return "", errors.New("unlucky")
		}
		return "no " + strconv.FormatUint(2*n, 10), nil
	}
	inWords := func([]byte) ([]byte, error) { return []byte("some"), nil }
	from := byNumber(t)
	for _, c := range []struct {
		name string
		sink *redis.Sink
		want string
	}{
		{"text", &redis.Sink{}, `"numbers:5" "7"`},
		{"raw", &redis.Sink{Raw: true}, fmt.Sprintf("%q %q", "numbers:"+number(5), number(7))},
		{"own key", &redis.Sink{Key: doubled, Raw: true}, fmt.Sprintf("%q %q", "numbers:no 10", number(7))},
		{"own key and value", &redis.Sink{Key: doubled, Value: inWords, Version: "2"}, `"numbers:no 10" "some"`},
		{"text again", &redis.Sink{}, `"numbers:5" "7"`},
	} {
		c.sink.Addr = m.Addr()
		defer c.sink.Close()
		batch := openedAs(t, c.sink, from, "") // not of the format before
		batch = then(batch, "1", row(number(5), number(7)))
		held, stale := heldBy(t, c.sink, from)
		for _, key := range held { // what a rebuild would delete
			if key != number(5) {
				batch.Rows = append(batch.Rows, topology.Raw{Key: []byte(key)})
			}
		}
		for _, name := range stale {
			batch.Stale = append(batch.Stale, []byte(name))
		}
		if err := c.sink.Apply(t.Context(), batch); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff([]string{c.want}, rowKeys(m)); diff != "" {
			t.Errorf("%s: rows (-want +got):\n%s", c.name, diff)
		}
		keys, stale := heldBy(t, c.sink, from)
		if len(stale) > 0 {
			t.Errorf("%s: stale are %q", c.name, stale)
		}
		if diff := cmp.Diff([]string{number(5)}, keys); diff != "" {
			t.Errorf("%s: keys (-want +got):\n%s", c.name, diff)
		}
		openedAs(t, c.sink, from, "1") // it is its own
	}
}

func TestRedisOwnKeyRefuses(t *testing.T) {
	sink := newRedis(t, miniredis.RunT(t).Addr())
	sink.Key = func([]byte) (string, error) { return "", errors.New("unlucky") }
	sink.Value = func([]byte) ([]byte, error) { return nil, errors.New("unlucky, too") }
	batch := then(opened(t, sink, "hello"), "1", row("a", "1"))
	refused := (*topology.RowError)(nil)
	if err := sink.Apply(t.Context(), batch); !errors.As(err, &refused) || string(refused.Key) != "a" || !strings.Contains(err.Error(), "unlucky") {
		t.Errorf("a key that is refused: %v", err)
	}
	sink.Key = nil
	if err := sink.Apply(t.Context(), batch); !errors.As(err, &refused) || string(refused.Key) != "a" || !strings.Contains(err.Error(), "unlucky, too") {
		t.Errorf("a value that is refused: %v", err)
	}
}

// What an older version has left is taken over: nobody owns it, and it is bytes.
func TestRedisTakesOlderTargetsOver(t *testing.T) {
	m := miniredis.RunT(t)
	from := byNumber(t)
	older := func(table, epoch string) {
		m.HSet("tidemark:fence:"+table+":0", "epoch", epoch)
		m.HSet("tidemark:fence:"+table+":0", "position", "here")
	}
	older("numbers", "1")
	openedAs(t, newRedis(t, m.Addr()), from, "")
	raw := from
	raw.Table, raw.Format = "raw", nil
	older("raw", "1")
	openedAs(t, newRedis(t, m.Addr()), raw, "here")

	// An older version comes back for a while.
	epoch, _ := strconv.ParseInt(m.HGet("tidemark:fence:numbers:0", "epoch"), 10, 64)
	older("numbers", strconv.FormatInt(epoch+1, 10))
	openedAs(t, newRedis(t, m.Addr()), from, "")
	epoch, _ = strconv.ParseInt(m.HGet("tidemark:fence:raw:0", "epoch"), 10, 64)
	older("raw", strconv.FormatInt(epoch+1, 10))
	openedAs(t, newRedis(t, m.Addr()), raw, "here")
}

// A category is one table's, whoever's fence lies elsewhere.
func TestRedisCategoryHasOneTable(t *testing.T) {
	m := miniredis.RunT(t)
	one, two := newRedis(t, m.Addr()), newRedis(t, m.Addr())
	one.Category, two.Category = "shared", "shared"
	opened(t, one, "first")
	_, err := two.Open(t.Context(), topology.Source{Table: "second"}, 0)
	if !errors.Is(err, topology.ErrForeign) || !strings.Contains(err.Error(), `of table "first"`) || !strings.Contains(err.Error(), `"tidemark:owner:shared"`) {
		t.Errorf("a second table: %v", err)
	}
}

// A step is refused as a whole if it is larger than a server takes at once.
func TestRedisStepIsTooLarge(t *testing.T) {
	sink := newRedis(t, miniredis.RunT(t).Addr())
	batch := then(opened(t, sink, "hello"), "1")
	for i := range 5 {
		batch.Rows = append(batch.Rows, row(strconv.Itoa(i), strings.Repeat("x", 16<<20)))
	}
	if err := sink.Apply(t.Context(), batch); !errors.Is(err, topology.ErrTooLarge) {
		t.Errorf("80 MB in 5 rows: %v", err)
	}
	batch.Rows = batch.Rows[:1]
	if err := sink.Apply(t.Context(), batch); err != nil {
		t.Errorf("16 MB in a row: %v", err)
	}
}

// A row of text costs no memory that one of bytes does not.
func TestRedisTextIsNotCopied(t *testing.T) {
	sink := newRedis(t, miniredis.RunT(t).Addr())
	measure := func(from topology.Source) float64 {
		batch := openedAs(t, sink, from, "")
		batch = then(batch, "1")
		for i := range 500 {
			batch.Rows = append(batch.Rows, row(number(uint64(i)), number(7)))
		}
		apply := func() { _ = sink.Apply(t.Context(), batch) } // the first is applied
		apply()
		return testing.AllocsPerRun(20, apply)
	}
	from := byNumber(t)
	text := measure(from)
	from.Table, from.Format = "bytes", nil
	if raw := measure(from); text > raw+100 {
		t.Errorf("%v allocations for 500 rows of text, %v for bytes", text, raw)
	}
}
