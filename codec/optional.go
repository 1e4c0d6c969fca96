package codec

import "errors"

// Optional stores a value that may be missing: a nil pointer is a tombstone, any
// other one is stored as Of stores what it points to. So a topic may be declared
// with its own values where none of them may be missing, and with pointers where
// functions are to see the tombstones, and the bytes are the same.
type Optional[T any] struct {
	Of Codec[T] // Required.
}

var errNoOf = errors.New("Optional has no codec Of its values")

// Encode returns nil for nil.
func (c Optional[T]) Encode(v *T) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	if c.Of == nil {
		return nil, errNoOf
	}
	return c.Of.Encode(*v)
}

// Decode returns nil for nil.
func (c Optional[T]) Decode(data []byte) (*T, error) {
	if data == nil {
		return nil, nil
	}
	if c.Of == nil {
		return nil, errNoOf
	}
	v, err := c.Of.Decode(data)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// Check checks as Of does.
func (c Optional[T]) Check(data []byte) error {
	if data == nil {
		return nil
	}
	if checker, ok := c.Of.(Checker); ok {
		return checker.Check(data)
	}
	_, err := c.Decode(data)
	return err
}
