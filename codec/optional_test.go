package codec_test

import (
	"bytes"
	"testing"

	"github.com/tidemark-dev/tidemark/codec"
)

func TestOptional(t *testing.T) {
	c := codec.Optional[int32]{Of: codec.Int32{}}
	if data, err := c.Encode(nil); data != nil || err != nil {
		t.Errorf("Encode(nil) = %v, %v", data, err)
	}
	if v, err := c.Decode(nil); v != nil || err != nil {
		t.Errorf("Decode(nil) = %v, %v", v, err)
	}
	seven := int32(7)
	data, err := c.Encode(&seven)
	if err != nil || !bytes.Equal(data, []byte{0, 0, 0, 7}) {
		t.Errorf("Encode(7) = %v, %v", data, err)
	}
	if v, err := c.Decode(data); err != nil || v == nil || *v != 7 {
		t.Errorf("Decode(%v) = %v, %v", data, v, err)
	}
	if v, err := c.Decode([]byte{7}); err == nil {
		t.Errorf("one byte was decoded as %v", v)
	}
	var without codec.Optional[int32]
	if _, err := without.Encode(&seven); err == nil {
		t.Error("it encodes without a codec")
	}
	if without.Check(data) == nil {
		t.Error("it decodes without a codec")
	}
}

// Check is that of the codec within, or its Decode if it has none.
func TestOptionalCheck(t *testing.T) {
	for name, c := range map[string]codec.Checker{
		"with":    codec.Optional[int32]{Of: codec.Int32{}},
		"without": codec.Optional[int32]{Of: unchecked{}},
	} {
		for data, want := range map[string]bool{"\x00\x00\x00\x07": true, "": false, "\x07": false} {
			if err := c.Check([]byte(data)); (err == nil) != want {
				t.Errorf("%s Check: Check(%q) = %v", name, data, err)
			}
		}
		if err := c.Check(nil); err != nil {
			t.Errorf("%s Check: Check(nil) = %v", name, err)
		}
	}
}

// unchecked is Int32 without a Check.
type unchecked struct{}

func (unchecked) Encode(v int32) ([]byte, error)    { return codec.Int32{}.Encode(v) }
func (unchecked) Decode(data []byte) (int32, error) { return codec.Int32{}.Decode(data) }
