// Package codec turns keys and values into bytes and back.
//
// A missing key or value (nil bytes on Kafka, a nil pointer, slice or map in
// Go) never reaches a codec: tidemark passes it on by itself.
package codec

// A Codec encodes values of type T. It is safe for concurrent use, does not
// change the bytes that it decodes and keeps no reference to them.
type Codec[T any] interface {
	Encode(v T) ([]byte, error)
	Decode(data []byte) (T, error)
}

// A Checker is a codec that can tell cheaply whether bytes are well formed. It
// stands in for Decode where no function looks at the value: such a value is
// not decoded but passes through as bytes. It may accept what Decode refuses,
// never the other way round. A codec without Check is checked by Decode.
type Checker interface {
	Check(data []byte) error
}

// A Texter is a codec that says how its values are written as JSON for people to
// read and type. What a codec without it decodes is written by encoding/json.
type Texter interface {
	// FormatText writes the encoded data as one JSON value. It refuses what
	// Decode refuses.
	FormatText(data []byte) ([]byte, error)
	// ParseText returns the encoded data of what FormatText writes, or nil if
	// the text stands for a missing value.
	ParseText(text []byte) ([]byte, error)
}
