package topology_test

import (
	"bytes"
	"cmp"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func within(key string, start, end int64) topology.Windowed[string] {
	return topology.Windowed[string]{Key: key, Start: at(start), End: at(end)}
}

// Bytes are in the order of keys, starts and ends, and come back as they were.
func FuzzWindowedCodec(f *testing.F) {
	f.Add([]byte("a"), int64(0), int64(10), []byte("ab"), int64(-5), int64(0))
	f.Add([]byte{}, int64(-1), int64(1), []byte{0}, int64(1), int64(-1))
	f.Add([]byte{0, 0xFF}, int64(1), int64(2), []byte{0, 0}, int64(1), int64(3))
	f.Add([]byte{0, 0, 0}, int64(1)<<62, int64(2), []byte{0}, int64(-1)<<61, int64(3))
	c := topology.WindowedCodec[[]byte]{Key: codec.Bytes{}}
	f.Fuzz(func(t *testing.T, key1 []byte, start1, end1 int64, key2 []byte, start2, end2 int64) {
		const most = 1 << 53 // more would overflow time.Time
		start1, end1, start2, end2 = start1%most, end1%most, start2%most, end2%most
		encode := func(key []byte, start, end int64) []byte {
			data, err := c.Encode(topology.Windowed[[]byte]{Key: key, Start: at(start), End: at(end)})
			if err != nil {
				t.Fatal(err)
			}
			w, err := c.Decode(data)
			if err != nil || c.Check(data) != nil || !bytes.Equal(w.Key, key) || !w.Start.Equal(at(start)) || !w.End.Equal(at(end)) {
				t.Fatalf("%q from %d to %d comes back as %v, %v", key, start, end, w, err)
			}
			return data
		}
		one, two := encode(key1, start1, end1), encode(key2, start2, end2)
		want := cmp.Or(bytes.Compare(key1, key2), cmp.Compare(start1, start2), cmp.Compare(end1, end2))
		if got := bytes.Compare(one, two); got != want {
			t.Errorf("%x and %x compare as %d, want %d", one, two, got, want)
		}
		// One key's windows are one range: no other key begins as they do.
		if prefix := one[:len(one)-16]; !bytes.Equal(key1, key2) && bytes.HasPrefix(two, prefix) {
			t.Errorf("%x is within the range of key %q", two, key1)
		}
	})
}

// What is no windowed key is refused, and whatever is accepted comes back.
func FuzzWindowedCodecDecode(f *testing.F) {
	f.Add(bytes.Repeat([]byte{0}, 18))
	f.Add(bytes.Repeat([]byte{0}, 20))
	f.Add([]byte("short"))
	f.Add(append([]byte{'a', 0, 'b', 0, 0}, make([]byte, 16)...))
	c := topology.WindowedCodec[string]{Key: codec.String{}}
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := c.Decode(data)
		if (err == nil) != (c.Check(data) == nil) {
			t.Fatalf("Decode says %v, Check %v", err, c.Check(data))
		}
		if err != nil || w.Start.UnixMilli() != int64(be(data[len(data)-16:])^1<<63) {
			return
		}
		if again, err := c.Encode(w); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x comes back as %x, %v", data, again, err)
		}
	})
}

func be(data []byte) (v uint64) {
	for _, b := range data[:8] {
		v = v<<8 | uint64(b)
	}
	return v
}

func TestWindowedCodecWithoutKey(t *testing.T) {
	var c topology.WindowedCodec[string]
	if _, err := c.Encode(within("a", 0, 10)); err == nil {
		t.Error("it encodes without a codec")
	}
	if _, err := c.Decode(make([]byte, 18)); err == nil {
		t.Error("it decodes without a codec")
	}
}

func TestWindowedText(t *testing.T) {
	b := topology.NewBuilder("app")
	topology.Count(topology.Window(topology.Consume(b, letters), topology.Tumbling{Size: time.Minute}), counted)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	const key = "a b:1970-01-01T00:01:00Z"
	want, err := topology.WindowedCodec[string]{Key: codec.String{}}.Encode(within("a b", 60_000, 120_000))
	if err != nil {
		t.Fatal(err)
	}
	for _, given := range []string{
		key, "a b:1970-01-01T00:01:00Z/1970-01-01T00:02:00Z", `{"key":"a b","start":"1970-01-01T00:01:00Z","end":"1970-01-01T00:02:00Z"}`,
	} {
		r, err := topo.Parse("counted", given, []byte("3"))
		if err != nil || !bytes.Equal(r.Key, want) {
			t.Errorf("%s parsed to %x, want %x, %v", given, r.Key, want, err)
			continue
		}
		if text, value, err := topo.Format(r); text != key || string(value) != "3" || err != nil {
			t.Errorf("formatted as %s = %s, %v", text, value, err)
		}
	}
	if _, err := topo.Parse("counted", `{"key":"a","start":"noon","end":"1970-01-01T00:02:00Z"}`, nil); err == nil {
		t.Error("a start that is no time is accepted")
	}
}
