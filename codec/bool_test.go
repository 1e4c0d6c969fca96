package codec_test

import (
	"bytes"
	"testing"

	"github.com/tidemark-dev/tidemark/codec"
)

func TestBoolIsKafkasBoolean(t *testing.T) {
	for v, want := range map[bool][]byte{true: {1}, false: {0}} {
		got, err := codec.Bool{}.Encode(v)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("Encode(%v) = %v, %v, want %v", v, got, err, want)
		}
		back, err := codec.Bool{}.Decode(want)
		if err != nil || back != v {
			t.Errorf("Decode(%v) = %v, %v, want %v", want, back, err, v)
		}
	}
}

func TestBoolRefuses(t *testing.T) {
	for data, want := range map[string]string{
		"":     `0 bytes "", not the 1 of a bool`,
		"\x02": "byte 2, not the 0 or 1 of a bool",
		"\xff": "byte 255, not the 0 or 1 of a bool",
		"true": `4 bytes "true", not the 1 of a bool`,
	} {
		if v, err := (codec.Bool{}).Decode([]byte(data)); v || errorText(err) != want {
			t.Errorf("Decode(%q) = %v, %q, want %q", data, v, errorText(err), want)
		}
		if err := (codec.Bool{}).Check([]byte(data)); errorText(err) != want {
			t.Errorf("Check(%q) = %q, want %q", data, errorText(err), want)
		}
	}
}

func FuzzBool(f *testing.F) {
	for _, s := range []string{"", "\x00", "\x01", "\x02", "true"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := codec.Bool{}.Decode(data)
		if check := (codec.Bool{}).Check(data); (err == nil) != (check == nil) {
			t.Fatalf("Decode(%q) = %v, %v, Check: %v", data, v, err, check)
		}
		if err != nil {
			return
		}
		if back, err := (codec.Bool{}).Encode(v); err != nil || !bytes.Equal(back, data) {
			t.Errorf("Encode(%v) = %q, %v, want %q", v, back, err, data)
		}
	})
}
