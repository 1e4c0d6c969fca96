package codec_test

import (
	"testing"

	"github.com/tidemark-dev/tidemark/codec"
)

func FuzzString(f *testing.F) {
	f.Add("testid-01")
	f.Add("")
	f.Add("\xff\x00")
	f.Fuzz(func(t *testing.T, v string) {
		data, err := codec.String{}.Encode(v)
		if err != nil || data == nil {
			t.Fatalf("Encode(%q) = %v, %v", v, data, err)
		}
		got, err := codec.String{}.Decode(data)
		if err != nil || got != v {
			t.Errorf("Decode(%q) = %q, %v", data, got, err)
		}
	})
}

func TestBytesDecodesToACopy(t *testing.T) {
	data := []byte("abc")
	got, err := codec.Bytes{}.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	data[0] = 'x'
	if string(got) != "abc" {
		t.Errorf("got %q, want \"abc\"", got)
	}
	if got, _ := (codec.Bytes{}).Decode([]byte{}); got == nil {
		t.Error("no bytes were decoded to nil, which is a missing value")
	}
}
