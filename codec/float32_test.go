package codec_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/tidemark-dev/tidemark/codec"
)

// What Java's Float.floatToIntBits gives, big-endian.
func TestFloat32IsKafkasFloat(t *testing.T) {
	for _, test := range []struct {
		v    float32
		want []byte
	}{
		{0, []byte{0, 0, 0, 0}},
		{float32(math.Copysign(0, -1)), []byte{0x80, 0, 0, 0}},
		{1, []byte{0x3f, 0x80, 0, 0}},
		{-2.5, []byte{0xc0, 0x20, 0, 0}},
		{math.Pi, []byte{0x40, 0x49, 0x0f, 0xdb}},
		{math.MaxFloat32, []byte{0x7f, 0x7f, 0xff, 0xff}},
		{math.SmallestNonzeroFloat32, []byte{0, 0, 0, 1}},
		{float32(math.Inf(1)), []byte{0x7f, 0x80, 0, 0}},
		{float32(math.Inf(-1)), []byte{0xff, 0x80, 0, 0}},
	} {
		got, err := codec.Float32{}.Encode(test.v)
		if err != nil || !bytes.Equal(got, test.want) {
			t.Errorf("Encode(%v) = %x, %v, want %x", test.v, got, err, test.want)
		}
		back, err := codec.Float32{}.Decode(test.want)
		if err != nil || back != test.v || math.Signbit(float64(back)) != math.Signbit(float64(test.v)) {
			t.Errorf("Decode(%x) = %v, %v, want %v", test.want, back, err, test.v)
		}
	}
}

func TestFloat32WritesOneNaN(t *testing.T) {
	want := []byte{0x7f, 0xc0, 0, 0}
	for _, bits := range []uint32{0x7fc00000, 0x7fc00001, 0xffc00007} {
		v, err := codec.Float32{}.Decode(binary.BigEndian.AppendUint32(nil, bits))
		if err != nil || !math.IsNaN(float64(v)) {
			t.Errorf("Decode(%x) = %v, %v", bits, v, err)
		}
		if got, err := (codec.Float32{}).Encode(v); err != nil || !bytes.Equal(got, want) {
			t.Errorf("NaN %x was encoded as %x, %v, want %x", bits, got, err, want)
		}
	}
}

// A number is written as short as a float of 32 bits allows.
func TestFloat32Text(t *testing.T) {
	data, err := codec.Float32{}.Encode(0.1)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := (codec.Float32{}).FormatText(data); err != nil || string(text) != "0.1" {
		t.Errorf("0.1 is written as %s, %v", text, err)
	}
	if data, err := (codec.Float32{}).ParseText([]byte("1e39")); err == nil {
		t.Errorf("1e39 was read as %x", data)
	}
}

func FuzzFloat32(f *testing.F) {
	f.Add([]byte{0x3f, 0x80, 0, 0})
	f.Add([]byte{0x80, 0, 0, 0})
	f.Add([]byte{0x7f, 0x80, 0, 1})
	f.Add([]byte{0xff, 0x80, 0, 0})
	f.Add([]byte("1.5"))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := codec.Float32{}.Decode(data)
		if (err == nil) != (len(data) == 4) {
			t.Fatalf("Decode(%x) = %v, %v", data, v, err)
		}
		sameErrors(t, codec.Float32{}, data, err)
		if err != nil {
			return
		}
		want := data
		if math.IsNaN(float64(v)) {
			want = []byte{0x7f, 0xc0, 0, 0}
		}
		if back, err := (codec.Float32{}).Encode(v); err != nil || !bytes.Equal(back, want) {
			t.Errorf("Encode(%v) = %x, %v, want %x", v, back, err, want)
		}
		sameText(t, codec.Float32{}, want)
	})
}
