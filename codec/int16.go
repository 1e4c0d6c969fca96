package codec

import "encoding/binary"

// Int16 stores an integer as 2 big-endian bytes, as Kafka's ShortSerializer does.
type Int16 struct{}

// Encode returns the 2 bytes of v.
func (Int16) Encode(v int16) ([]byte, error) {
	return binary.BigEndian.AppendUint16(make([]byte, 0, 2), uint16(v)), nil
}

// Decode refuses data that is not 2 bytes long.
func (c Int16) Decode(data []byte) (int16, error) {
	if err := c.Check(data); err != nil {
		return 0, err
	}
	return int16(binary.BigEndian.Uint16(data)), nil
}

// Check refuses data that is not 2 bytes long.
func (Int16) Check(data []byte) error { return checkSize(data, 2, "an integer") }
