package wire

import (
	"bytes"
	"cmp"
	"testing"
)

// Rows are ordered by the key, then by the time, and both come out again.
func FuzzOrderedKey(f *testing.F) {
	f.Add([]byte("a"), []byte("a\x00b"), int64(0), int64(-1))
	f.Add([]byte{}, []byte{0}, int64(1), int64(1))
	f.Add([]byte{0, 0}, []byte{0, 255}, int64(1), int64(1))
	f.Add([]byte{0, 255}, []byte{255}, int64(-1<<63), int64(1<<63-1))
	f.Fuzz(func(t *testing.T, a, b []byte, x, y int64) {
		first, second := AppendTime(AppendKey(nil, a), x), AppendTime(AppendKey(nil, b), y)
		want := cmp.Or(bytes.Compare(a, b), cmp.Compare(x, y))
		if got := bytes.Compare(first, second); got != want {
			t.Errorf("(%q, %d) to (%q, %d): order %d, want %d", a, x, b, y, got, want)
		}
		key, rest, ok := CutKey(first)
		if !ok || !bytes.Equal(key, a) {
			t.Errorf("key %q, %v, want %q", key, ok, a)
		}
		if at, rest, ok := CutTime(rest); !ok || at != x || len(rest) > 0 {
			t.Errorf("time %d, %q, %v, want %d", at, rest, ok, x)
		}
	})
}

func FuzzCutKey(f *testing.F) {
	f.Add([]byte("a\x00\x00rest"))
	f.Add([]byte("a\x00\xffb\x00\x00"))
	f.Add([]byte("a\x00\x01"))
	f.Add([]byte("a\x00"))
	f.Fuzz(func(t *testing.T, row []byte) {
		key, rest, ok := CutKey(row)
		if ok && !bytes.Equal(append(AppendKey(nil, key), rest...), row) {
			t.Errorf("CutKey(%q) = %q, %q", row, key, rest)
		}
	})
}
