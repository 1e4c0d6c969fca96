package codec

import "encoding/binary"

// Int64 stores an integer as 8 big-endian bytes, as Kafka's LongSerializer does.
type Int64 struct{}

// Encode returns the 8 bytes of v.
func (Int64) Encode(v int64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(make([]byte, 0, 8), uint64(v)), nil
}

// Decode refuses data that is not 8 bytes long.
func (c Int64) Decode(data []byte) (int64, error) {
	if err := c.Check(data); err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(data)), nil
}

// Check refuses data that is not 8 bytes long.
func (Int64) Check(data []byte) error { return checkSize(data, 8, "an integer") }
