package wire

import (
	"bytes"
	"cmp"
	"testing"
)

// Windows of a key are neighbours, in the order of their starts, and come out again.
func FuzzWindowKey(f *testing.F) {
	f.Add([]byte("a"), []byte("a\x00b"), int64(0), int64(1))
	f.Add([]byte{}, []byte{0}, int64(-1<<63), int64(1<<63-1))
	f.Fuzz(func(t *testing.T, a, b []byte, start, end int64) {
		data, other := WindowKey(a, start, end), WindowKey(b, end, start)
		if key, err := WindowedKey(data); err != nil || !bytes.Equal(key, a) {
			t.Errorf("key %q, %v, want %q", key, err, a)
		}
		if s, e := WindowOf(data); s != start || e != end {
			t.Errorf("window %d to %d, want %d to %d", s, e, start, end)
		}
		want := cmp.Or(bytes.Compare(a, b), cmp.Compare(start, end))
		if got := bytes.Compare(data, other); got != want {
			t.Errorf("(%q, %d) to (%q, %d): order %d, want %d", a, start, b, end, got, want)
		}
		if !bytes.HasPrefix(data, WindowStart(WindowPrefix(data), start)) || !bytes.HasPrefix(data, KeyPrefix(a)) {
			t.Errorf("%q does not begin with its start, or its key", data)
		}
	})
}

// What is no windowed key is refused, and what is taken for one was written as one.
func FuzzWindowedKey(f *testing.F) {
	f.Add([]byte("plain"))
	f.Add(append([]byte("a\x00\x00"), make([]byte, 16)...))
	f.Add(append([]byte("a\x00\x00"), make([]byte, 15)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := WindowedKey(data)
		if err != nil {
			return
		}
		start, end := WindowOf(data)
		if back := WindowKey(key, start, end); !bytes.Equal(back, data) {
			t.Errorf("%q is written anew as %q", data, back)
		}
	})
}
