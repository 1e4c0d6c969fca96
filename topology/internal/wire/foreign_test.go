package wire

import (
	"bytes"
	"strings"
	"testing"
)

// What can be read is what was written.
func FuzzSubscription(f *testing.F) {
	f.Add([]byte{1, 0, 'a'})
	f.Add(append([]byte{1, 0x83}, "0123456789abcdefkey"...))
	f.Add([]byte{1, 4})
	f.Add([]byte{2, 0})
	f.Add([]byte{1, 0x80, 'x'})
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := DecodeSubscription(data)
		if err != nil {
			return
		}
		if back := s.Encode(); !bytes.Equal(back, data) {
			t.Errorf("%+v was written as %q, want %q", s, back, data)
		}
		if _, err := s.MarshalJSON(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte{1, 0})
	f.Add([]byte{1, 1, 'x'})
	f.Add(append([]byte{1, 0x81}, "0123456789abcdef"...))
	f.Add([]byte{1, 0, 'x'})
	f.Add([]byte{1, 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeResponse(data)
		if err != nil {
			return
		}
		if back := r.Encode(); !bytes.Equal(back, data) {
			t.Errorf("%+v was written as %q, want %q", r, back, data)
		}
		if _, err := r.MarshalJSON(); err != nil {
			t.Error(err)
		}
	})
}

// A right row whose value is empty is one, and an empty left row is not a missing one.
func TestWireTellsEmptyFromMissing(t *testing.T) {
	for _, want := range []Response{{}, {Right: []byte{}}, {Row: DigestOf([]byte{})}, {Row: DigestOf([]byte("x")), Right: []byte("y")}} {
		got, err := DecodeResponse(want.Encode())
		if err != nil || got.Row != want.Row || (got.Right == nil) != (want.Right == nil) || !bytes.Equal(got.Right, want.Right) {
			t.Errorf("%+v came back as %+v, %v", want, got, err)
		}
	}
	if DigestOf(nil) == DigestOf([]byte{}) || len(DigestOf([]byte{})) != digestBytes {
		t.Error("a missing row has the digest of an empty one")
	}
}

func TestWireOfAnotherVersion(t *testing.T) {
	for data, want := range map[string]string{
		"":         "subscription: 0 bytes are too few",
		"\x02\x00": "subscription: version 2 is not known: was it written by a newer program?",
		"\x01\x09": "subscription: instruction 9 is not known",
		"\x01\x80": "subscription: 0 bytes are too few for a digest",
	} {
		if _, err := DecodeSubscription([]byte(data)); err == nil || err.Error() != want {
			t.Errorf("Decode(%q): %v, want %s", data, err, want)
		}
	}
	if _, err := DecodeResponse([]byte{1, 0, 7}); err == nil || !strings.Contains(err.Error(), "1 bytes more than it says") {
		t.Errorf("error %v", err)
	}
}
