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
	if err != nil {
		return nil, err
	}
	if text := noNumber(v); text != "" {
		return []byte(text), nil
	}
	return json.Marshal(v)
}

// ParseText reads what FormatText writes.
func (c Float64) ParseText(text []byte) ([]byte, error) {
	if v, ok := parseNoNumber(text); ok {
		return c.Encode(v)
	}
	v, err := JSON[float64]{}.Decode(text)
	if err != nil {
		return nil, err
	}
	return c.Encode(v)
}

// noNumber returns the text of a float that JSON has no number for, else "".
func noNumber(v float64) string {
	switch {
	case math.IsNaN(v):
		return `"NaN"`
	case math.IsInf(v, 1):
		return `"Infinity"`
	case math.IsInf(v, -1):
		return `"-Infinity"`
	}
	return ""
}

// parseNoNumber reads what noNumber writes.
func parseNoNumber(text []byte) (v float64, ok bool) {
	switch strings.TrimSpace(string(text)) {
	case `"NaN"`:
		return math.NaN(), true
	case `"Infinity"`:
		return math.Inf(1), true
	case `"-Infinity"`:
		return math.Inf(-1), true
	}
	return 0, false
}
