package codec

// String stores a string as its bytes, whether or not they are valid UTF-8.
type String struct{}

// Encode returns the bytes of v.
func (String) Encode(v string) ([]byte, error) { return []byte(v), nil }

// Decode returns data as a string.
func (String) Decode(data []byte) (string, error) { return string(data), nil }

// Check accepts everything.
func (String) Check([]byte) error { return nil }

// Bytes stores bytes as they are.
type Bytes struct{}

// Encode returns v itself.
func (Bytes) Encode(v []byte) ([]byte, error) { return v, nil }

// Decode returns a copy of data, which is never nil.
func (Bytes) Decode(data []byte) ([]byte, error) { return append([]byte{}, data...), nil }

// Check accepts everything.
func (Bytes) Check([]byte) error { return nil }
