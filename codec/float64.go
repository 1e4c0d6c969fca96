package codec

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strings"
)

// Float64 stores a number as the 8 big-endian bytes of IEEE 754, as Kafka's
// DoubleSerializer does: every NaN is written as the same bytes. 0 and -0 are
// equal numbers of different bytes, and so different keys.
type Float64 struct{}

// javaNaN is what Java writes for every NaN. Go's math.NaN has other bits.
const javaNaN = 0x7ff8000000000000

// Encode returns the 8 bytes of v.
func (Float64) Encode(v float64) ([]byte, error) {
	bits := math.Float64bits(v)
	if math.IsNaN(v) {
		bits = javaNaN
	}
	return binary.BigEndian.AppendUint64(make([]byte, 0, 8), bits), nil
}

// Decode refuses data that is not 8 bytes long.
func (c Float64) Decode(data []byte) (float64, error) {
	if err := c.Check(data); err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(data)), nil
}

// Check refuses data that is not 8 bytes long.
func (Float64) Check(data []byte) error { return checkSize(data, 8, "a float") }

// FormatText writes a JSON number, or what JSON has no number for as the string
// "NaN", "Infinity" or "-Infinity".
func (c Float64) FormatText(data []byte) ([]byte, error) {
	v, err := c.Decode(data)
	switch {
	case err != nil:
		return nil, err
	case math.IsNaN(v):
		return []byte(`"NaN"`), nil
	case math.IsInf(v, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(v, -1):
		return []byte(`"-Infinity"`), nil
	}
	return json.Marshal(v)
}

// ParseText reads what FormatText writes.
func (c Float64) ParseText(text []byte) ([]byte, error) {
	switch strings.TrimSpace(string(text)) {
	case `"NaN"`:
		return c.Encode(math.NaN())
	case `"Infinity"`:
		return c.Encode(math.Inf(1))
	case `"-Infinity"`:
		return c.Encode(math.Inf(-1))
	}
	v, err := JSON[float64]{}.Decode(text)
	if err != nil {
		return nil, err
	}
	return c.Encode(v)
}
