package codec

import (
	"encoding/binary"
	"encoding/json"
	"math"
)

// Float32 stores a number as the 4 big-endian bytes of IEEE 754, as Kafka's
// FloatSerializer does: every NaN is written as the same bytes. 0 and -0 are
// equal numbers of different bytes, and so different keys.
type Float32 struct{}

// javaNaN32 is what Java writes for every NaN of 32 bits.
const javaNaN32 = 0x7fc00000

// Encode returns the 4 bytes of v.
func (Float32) Encode(v float32) ([]byte, error) {
	bits := math.Float32bits(v)
	if math.IsNaN(float64(v)) {
		bits = javaNaN32
	}
	return binary.BigEndian.AppendUint32(make([]byte, 0, 4), bits), nil
}

// Decode refuses data that is not 4 bytes long.
func (c Float32) Decode(data []byte) (float32, error) {
	if err := c.Check(data); err != nil {
		return 0, err
	}
	return math.Float32frombits(binary.BigEndian.Uint32(data)), nil
}

// Check refuses data that is not 4 bytes long.
func (Float32) Check(data []byte) error { return checkSize(data, 4, "a float") }

// FormatText writes a JSON number, or what JSON has no number for as the string
// "NaN", "Infinity" or "-Infinity".
func (c Float32) FormatText(data []byte) ([]byte, error) {
	v, err := c.Decode(data)
	if err != nil {
		return nil, err
	}
	if text := noNumber(float64(v)); text != "" {
		return []byte(text), nil
	}
	return json.Marshal(v)
}

// ParseText reads what FormatText writes.
func (c Float32) ParseText(text []byte) ([]byte, error) {
	if v, ok := parseNoNumber(text); ok {
		return c.Encode(float32(v))
	}
	v, err := JSON[float32]{}.Decode(text)
	if err != nil {
		return nil, err
	}
	return c.Encode(v)
}
