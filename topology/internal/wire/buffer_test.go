package wire

import (
	"bytes"
	"testing"
)

func FuzzBuffered(f *testing.F) {
	f.Add([]byte("a"), int64(7), uint32(0), byte(0))
	f.Add([]byte("a\x00"), int64(-1), uint32(1<<32-1), byte(1))
	f.Fuzz(func(t *testing.T, key []byte, time int64, number uint32, side byte) {
		side %= 2
		row := AppendNumber(BufferedPrefix(key, time), number)
		if BufferedTime(row) != time || BufferedNumber(row) != number {
			t.Errorf("time %d, number %d, want %d, %d", BufferedTime(row), BufferedNumber(row), time, number)
		}
		if got, _, ok := CutKey(row); !ok || !bytes.Equal(got, key) {
			t.Errorf("key %q, %t, want %q", got, ok, key)
		}
		unmatched := UnmatchedKey(side, time, row)
		at, s, rest := CutUnmatched(unmatched)
		if at != time || s != side {
			t.Errorf("time %d, side %d, want %d, %d", at, s, time, side)
		}
		if got, _, ok := CutKey(rest); !ok || !bytes.Equal(got, key) {
			t.Errorf("key %q, %t, want %q", got, ok, key)
		}
	})
}

// Bytes that are no row's key do no harm.
func FuzzBufferedGarbage(f *testing.F) {
	f.Add([]byte("short"))
	f.Add(make([]byte, 12))
	f.Fuzz(func(t *testing.T, row []byte) {
		BufferedTime(row)
		BufferedNumber(row)
		CutUnmatched(row)
	})
}

// At one time, right records come before left ones.
func TestOrderOfUnmatched(t *testing.T) {
	row := AppendNumber(BufferedPrefix([]byte("a"), 7), 0)
	if bytes.Compare(UnmatchedKey(1, 7, row), UnmatchedKey(0, 7, row)) >= 0 {
		t.Error("the left record comes first")
	}
}
