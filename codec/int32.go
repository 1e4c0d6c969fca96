package codec

import "encoding/binary"

// Int32 stores an integer as 4 big-endian bytes, as Kafka's IntegerSerializer does.
type Int32 struct{}

// Encode returns the 4 bytes of v.
func (Int32) Encode(v int32) ([]byte, error) {
	return binary.BigEndian.AppendUint32(make([]byte, 0, 4), uint32(v)), nil
}

// Decode refuses data that is not 4 bytes long.
func (c Int32) Decode(data []byte) (int32, error) {
	if err := c.Check(data); err != nil {
		return 0, err
	}
	return int32(binary.BigEndian.Uint32(data)), nil
}

// Check refuses data that is not 4 bytes long.
func (Int32) Check(data []byte) error { return checkSize(data, 4, "an integer") }
