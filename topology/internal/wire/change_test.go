package wire

import (
	"bytes"
	"testing"
)

func FuzzCutChange(f *testing.F) {
	for _, seed := range []string{"", "\x01\x00\x02a", "\x01\x02a\x03bc", "\x01\x00\x00", "\x02\x00\x02a", "\x01\x82\x00a\x00", "\x01\x00\x09a"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		old, now, err := CutChange(data)
		if err != nil {
			return
		}
		if back := JoinChange(old, now); !bytes.Equal(back, data) {
			t.Errorf("%q is written anew as %q", data, back)
		}
	})
}
