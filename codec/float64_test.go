package codec_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"testing"

	"github.com/tidemark-dev/tidemark/codec"
)

// What Java's Double.doubleToLongBits gives, big-endian.
func TestFloat64IsKafkasDouble(t *testing.T) {
	for _, test := range []struct {
		v    float64
		want []byte
	}{
		{0, []byte{0, 0, 0, 0, 0, 0, 0, 0}},
		{math.Copysign(0, -1), []byte{0x80, 0, 0, 0, 0, 0, 0, 0}},
		{1, []byte{0x3f, 0xf0, 0, 0, 0, 0, 0, 0}},
		{-2.5, []byte{0xc0, 0x04, 0, 0, 0, 0, 0, 0}},
		{math.Pi, []byte{0x40, 0x09, 0x21, 0xfb, 0x54, 0x44, 0x2d, 0x18}},
		{math.MaxFloat64, []byte{0x7f, 0xef, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{math.SmallestNonzeroFloat64, []byte{0, 0, 0, 0, 0, 0, 0, 1}},
		{math.Inf(1), []byte{0x7f, 0xf0, 0, 0, 0, 0, 0, 0}},
		{math.Inf(-1), []byte{0xff, 0xf0, 0, 0, 0, 0, 0, 0}},
	} {
		got, err := codec.Float64{}.Encode(test.v)
		if err != nil || !bytes.Equal(got, test.want) {
			t.Errorf("Encode(%v) = %x, %v, want %x", test.v, got, err, test.want)
		}
		back, err := codec.Float64{}.Decode(test.want)
		if err != nil || back != test.v || math.Signbit(back) != math.Signbit(test.v) {
			t.Errorf("Decode(%x) = %v, %v, want %v", test.want, back, err, test.v)
		}
	}
}

func TestFloat64WritesOneNaN(t *testing.T) {
	want := []byte{0x7f, 0xf8, 0, 0, 0, 0, 0, 0}
	for _, bits := range []uint64{0x7ff8000000000000, 0x7ff8000000000001, 0xfff0000000000007} {
		v, err := codec.Float64{}.Decode(binary.BigEndian.AppendUint64(nil, bits))
		if err != nil || !math.IsNaN(v) {
			t.Errorf("Decode(%x) = %v, %v", bits, v, err)
		}
		if got, err := (codec.Float64{}).Encode(v); err != nil || !bytes.Equal(got, want) {
			t.Errorf("NaN %x was encoded as %x, %v, want %x", bits, got, err, want)
		}
	}
}

func FuzzFloat64(f *testing.F) {
	f.Add([]byte{0x3f, 0xf0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x80, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x7f, 0xf0, 0, 0, 0, 0, 0, 1})
	f.Add([]byte{0xff, 0xf0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte("1.5"))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := codec.Float64{}.Decode(data)
		if (err == nil) != (len(data) == 8) {
			t.Fatalf("Decode(%x) = %v, %v", data, v, err)
		}
		sameErrors(t, codec.Float64{}, data, err)
		if err != nil {
			return
		}
		want := data
		if math.IsNaN(v) {
			want = []byte{0x7f, 0xf8, 0, 0, 0, 0, 0, 0}
		}
		if back, err := (codec.Float64{}).Encode(v); err != nil || !bytes.Equal(back, want) {
			t.Errorf("Encode(%v) = %x, %v, want %x", v, back, err, want)
		}
		sameText(t, codec.Float64{}, want)
	})
}

// sameErrors checks that Check and FormatText refuse what Decode refused.
func sameErrors(t *testing.T, c interface {
	codec.Checker
	codec.Texter
}, data []byte, decode error,
) {
	t.Helper()
	if err := c.Check(data); (err == nil) != (decode == nil) {
		t.Errorf("%x: Decode: %v, Check: %v", data, decode, err)
	}
	if text, err := c.FormatText(data); (err == nil) != (decode == nil) {
		t.Errorf("%x: Decode: %v, FormatText: %s, %v", data, decode, text, err)
	}
}

// sameText checks that the text of data is JSON and read back to it.
func sameText(t *testing.T, c codec.Texter, data []byte) {
	t.Helper()
	text, err := c.FormatText(data)
	if err != nil || !json.Valid(text) {
		t.Fatalf("FormatText(%x) = %s, %v", data, text, err)
	}
	if back, err := c.ParseText(text); err != nil || !bytes.Equal(back, data) {
		t.Errorf("FormatText(%x) = %s, ParseText of which = %x, %v", data, text, back, err)
	}
}
