package codec

import "fmt"

// Bool stores true as the byte 1 and false as the byte 0, as Kafka's
// BooleanSerializer does. Other bytes are refused, where Kafka's
// BooleanDeserializer takes every byte but 1 for false.
type Bool struct{}

// Encode returns the byte of v.
func (Bool) Encode(v bool) ([]byte, error) {
	if v {
		return []byte{1}, nil
	}
	return []byte{0}, nil
}

// Decode refuses what is not a single 0 or 1.
func (c Bool) Decode(data []byte) (bool, error) {
	if err := c.Check(data); err != nil {
		return false, err
	}
	return data[0] == 1, nil
}

// Check refuses what is not a single 0 or 1.
func (Bool) Check(data []byte) error {
	if err := checkSize(data, 1, "a bool"); err != nil {
		return err
	}
	if data[0] > 1 {
		return fmt.Errorf("byte %d, not the 0 or 1 of a bool", data[0])
	}
	return nil
}
