package codec

import (
	"encoding/json"
	"fmt"
	"time"
)

// Time stores a time as its milliseconds since 1970 in 8 big-endian bytes, as
// Kafka's LongSerializer writes the number. What is finer than a millisecond is
// cut off, towards the past; the location is not kept, and Decode gives UTC. The
// zero time.Time is a time like any other and comes back as it was.
type Time struct{}

// Encode refuses a time whose milliseconds don't fit 64 bits, which is some 292
// million years away.
func (Time) Encode(v time.Time) ([]byte, error) {
	ms := v.UnixMilli()
	if time.UnixMilli(ms).Unix() != v.Unix() { // it overflowed
		return nil, fmt.Errorf("time %d s from 1970: its milliseconds don't fit 64 bits", v.Unix())
	}
	return Int64{}.Encode(ms)
}

// Decode refuses data that is not 8 bytes long.
func (c Time) Decode(data []byte) (time.Time, error) {
	if err := c.Check(data); err != nil {
		return time.Time{}, err
	}
	ms, err := Int64{}.Decode(data)
	return time.UnixMilli(ms).UTC(), err
}

// Check refuses data that is not 8 bytes long.
func (Time) Check(data []byte) error { return checkSize(data, 8, "a time") }

// FormatText writes a string in RFC 3339, or the milliseconds since 1970 if the
// year is not one of the four digits that RFC 3339 has.
func (c Time) FormatText(data []byte) ([]byte, error) {
	v, err := c.Decode(data)
	if err != nil {
		return nil, err
	}
	if y := v.Year(); y < 0 || y > 9999 {
		return json.Marshal(v.UnixMilli())
	}
	return json.Marshal(v)
}

// ParseText reads what FormatText writes, and milliseconds for any year.
func (c Time) ParseText(text []byte) ([]byte, error) {
	if ms, err := (JSON[int64]{}).Decode(text); err == nil {
		return Int64{}.Encode(ms)
	}
	v, err := JSON[time.Time]{}.Decode(text)
	if err != nil {
		return nil, err
	}
	return c.Encode(v)
}
