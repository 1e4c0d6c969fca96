package topology_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

func TestRowRange(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		topology.Count(topology.Window(topology.Consume(b, journal), topology.Tumbling{Size: time.Hour}),
			topology.Store[topology.Windowed[string], int64]{Name: "hourly"})
		topology.Count(topology.Consume(b, topology.Topic[int64, string]{Name: "numbers", Key: codec.Int64{}, Value: codec.String{}}),
			topology.Store[int64, int64]{Name: "counts"})
	})
	if !topo.Windowed("hourly") || topo.Windowed("counts") {
		t.Error("hourly is windowed, counts is not")
	}
	at := func(hour int) time.Time { return time.Date(2026, 11, 25, hour, 0, 0, 0, time.UTC) }
	var none time.Time
	in := func(from, to []byte, key string, hour int) bool {
		row, err := topology.WindowedCodec[string]{Key: codec.String{}}.Encode(topology.Windowed[string]{Key: key, Start: at(hour), End: at(hour + 1)})
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Compare(row, from) >= 0 && (to == nil || bytes.Compare(row, to) < 0)
	}
	for _, c := range []struct {
		key          string
		since, until time.Time
		want         string
	}{
		{"a", none, none, "a8 a9 a10 "},
		{"a", at(9), none, "a9 a10 "},
		{"a", none, at(9), "a8 "},
		{"a", at(9), at(10), "a9 "},
		{"a", at(8).Add(time.Nanosecond), at(9).Add(time.Nanosecond), "a9 "},
		{"a\x00", none, none, "a\x008 a\x009 a\x0010 "},
		{"\xff", none, none, "\xff8 \xff9 \xff10 "},
	} {
		from, to, err := topo.Windows("hourly", c.key, c.since, c.until)
		got := ""
		for _, key := range []string{"a", "a\x00", "ab", "b", "\xff"} {
			for hour := 8; hour <= 10; hour++ {
				if in(from, to, key, hour) {
					got += fmt.Sprint(key, hour, " ")
				}
			}
		}
		if got != c.want || err != nil {
			t.Errorf("windows of %q from %v until %v: got %q, %v, want %q", c.key, c.since, c.until, got, err, c.want)
		}
	}
	for prefix, want := range map[string]string{"a": "a a\x00 ab ", "": "a a\x00 ab b \xff ", "a\x00": "a\x00 ", "\xff": "\xff "} {
		from, to, err := topo.Prefix("hourly", prefix)
		got := ""
		for _, key := range []string{"a", "a\x00", "ab", "b", "\xff"} {
			if in(from, to, key, 8) {
				got += key + " "
			}
		}
		if got != want || err != nil {
			t.Errorf("prefix %q: got %q, %v, want %q", prefix, got, err, want)
		}
	}
	for _, err := range []error{
		third(topo.Windows("hourly", "a", at(9), at(9))),
		third(topo.Windows("counts", "1", none, none)),
		third(topo.Windows("nowhere", "1", none, none)),
		third(topo.Prefix("nowhere", "1")),
		third(topo.Prefix("counts", "one")),
	} {
		if err == nil {
			t.Error("want an error")
		}
	}
}

func third(_, _ []byte, err error) error { return err }
