package wire

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type header struct {
	Key   string
	Value []byte
}

type heldRow = Held[header]

func TestHeldRow(t *testing.T) {
	for _, want := range []heldRow{
		{Since: -7},
		{Since: 1 << 60, Value: []byte{}},
		{Since: 3, Value: []byte("value"), Headers: []header{{"trace", []byte("7")}, {"", nil}, {"empty", []byte{}}}},
	} {
		data := want.Encode()
		got, err := DecodeHeld[header](data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if since := HeldSince(data); since != want.Since {
			t.Errorf("since %d, want %d", since, want.Since)
		}
	}
}

func FuzzHeldRow(f *testing.F) {
	f.Add(heldRow{Since: 3, Value: []byte("v"), Headers: []header{{"trace", []byte("7")}}}.Encode())
	f.Add([]byte("short"))
	f.Add(append(make([]byte, 8), 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := DecodeHeld[header](data)
		if err != nil {
			return
		}
		again, err := DecodeHeld[header](h.Encode())
		if err != nil || !bytes.Equal(again.Encode(), h.Encode()) {
			t.Errorf("%x comes back as %+v, %v", data, again, err)
		}
	})
}
