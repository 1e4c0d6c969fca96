package codec_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/tidemark-dev/tidemark/codec"
)

func TestInt16IsKafkasShort(t *testing.T) {
	for v, want := range map[int16][]byte{
		0:             {0, 0},
		1:             {0, 1},
		-1:            {255, 255},
		math.MinInt16: {128, 0},
		math.MaxInt16: {127, 255},
	} {
		got, err := codec.Int16{}.Encode(v)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("Encode(%d) = %v, %v, want %v", v, got, err, want)
		}
		back, err := codec.Int16{}.Decode(want)
		if err != nil || back != v {
			t.Errorf("Decode(%v) = %d, %v, want %d", want, back, err, v)
		}
	}
}

func FuzzInt16(f *testing.F) {
	f.Add([]byte{0, 7})
	f.Add([]byte("7"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := codec.Int16{}.Decode(data)
		if (err == nil) != (len(data) == 2) || (err == nil) != ((codec.Int16{}).Check(data) == nil) {
			t.Fatalf("Decode(%q) = %d, %v, Check: %v", data, v, err, codec.Int16{}.Check(data))
		}
		if err != nil {
			return
		}
		if back, err := (codec.Int16{}).Encode(v); err != nil || !bytes.Equal(back, data) {
			t.Errorf("Encode(%d) = %q, %v, want %q", v, back, err, data)
		}
	})
}
