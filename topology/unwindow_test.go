package topology_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// Keys come out as they went in, whether a function has looked at them or not, and
// stay where they were: what counts them needs no Repartition.
func TestUnwindow(t *testing.T) {
	texts := topology.Topic[string, string]{Name: "texts", Key: codec.String{}, Value: codec.String{}}
	windows := topology.WindowStore[string, int64]{Name: "windows"}
	for _, look := range []bool{false, true} {
		latest := topology.Store[string, int64]{Name: "latest"}
		d := drive(t, func(b *topology.Builder) {
			s := topology.NewValues(topology.Count(topology.Window(topology.Consume(b, texts), topology.Tumbling{Size: 10 * time.Millisecond}), windows))
			if look {
				s = topology.Filter(s, func(w topology.Windowed[string], _ int64) bool { return w.End.Sub(w.Start) == 10*time.Millisecond })
			}
			topology.ToTable(topology.Unwindow(s), latest)
		})
		for at, key := range []string{"a", "b\x00", "a", "", "b\x00", "a"} {
			d.At(time.UnixMilli(int64(at * 4)))
			topologytest.Send(d, texts, key, "x")
		}
		d.Restart()
		want := map[string]int64{"a": 1, "b\x00": 1, "": 1}
		if diff := cmp.Diff(want, topologytest.Rows(d, latest)); diff != "" {
			t.Errorf("look %t: rows (-want +got):\n%s", look, diff)
		}
	}
}

func TestMistakesOfUnwindow(t *testing.T) {
	wantMistakes(t, map[string]func(*topology.Builder){
		"unwindow 1 of window 1: its records are on their way into windows, some of them into several: count, reduce or aggregate them first": func(b *topology.Builder) {
			in := topology.Topic[string, string]{Name: "in", Key: codec.String{}, Value: codec.String{}}
			w := topology.Window(topology.Consume(b, in), topology.Tumbling{Size: time.Second})
			topology.ToTable(topology.Unwindow(w), topology.Store[string, string]{Name: "rows"})
		},
	})
}

// A key that is no windowed one is refused, as others are that cannot be decoded.
func TestUnwindowRefuses(t *testing.T) {
	in := topology.Topic[topology.Windowed[string], string]{Name: "in", Key: topology.WindowedCodec[string]{Key: codec.String{}}, Value: codec.String{}}
	rows := topology.Store[string, string]{Name: "rows"}
	d := drive(t, func(b *topology.Builder) { topology.ToTable(topology.Unwindow(topology.Consume(b, in)), rows) })
	d.SendRaw(topology.Raw{Key: []byte("plain"), Value: []byte("x"), Position: topology.Position{Topic: "in"}})
	if errs := d.Errors(); len(errs) != 1 || errs[0].Node != "unwindow 1" {
		t.Errorf("errors %v, want one of unwindow 1", errs)
	}
}
