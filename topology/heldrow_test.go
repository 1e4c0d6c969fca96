package topology

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHeldRow(t *testing.T) {
	for _, want := range []heldRow{
		{since: -7},
		{since: 1 << 60, value: []byte{}},
		{since: 3, value: []byte("value"), headers: []Header{{"trace", []byte("7")}, {"", nil}, {"empty", []byte{}}}},
	} {
		data := want.encode()
		got, err := decodeHeld(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(heldRow{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if since := heldSince(data); since != want.since {
			t.Errorf("since %d, want %d", since, want.since)
		}
	}
}

func FuzzHeldRow(f *testing.F) {
	f.Add(heldRow{since: 3, value: []byte("v"), headers: []Header{{"trace", []byte("7")}}}.encode())
	f.Add([]byte("short"))
	f.Add(append(make([]byte, 8), 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := decodeHeld(data)
		if err != nil {
			return
		}
		again, err := decodeHeld(h.encode())
		if err != nil || !bytes.Equal(again.encode(), h.encode()) {
			t.Errorf("%x comes back as %+v, %v", data, again, err)
		}
	})
}
