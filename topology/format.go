package topology

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	"github.com/tidemark-dev/tidemark/codec"
)

// A Format writes the rows of a table as text for readers outside, as
// [Topology.Format] prints them, with two differences: a value whose text is a
// JSON string is written without its quotes, unless its codec is JSON, and JSON
// is left as it lies in the row. A function that is nil means that the bytes are
// the text.
type Format struct {
	// Key appends the text of a key to a slice. No two keys have one text: a key that
	// is not read back from its text, byte for byte, is refused.
	Key func(to, key []byte) ([]byte, error)

	// ParseKey returns the key that has a text. It refuses a text that Key does not
	// write.
	ParseKey func(text []byte) ([]byte, error)

	// Value appends the text of a value to a slice.
	Value func(to, value []byte) ([]byte, error)
}

// newFormat makes the format of keys and values that have some texts.
func newFormat[K, V any](key codec.Codec[K], value codec.Codec[V], x *texts) *Format {
	f := &Format{}
	if !keyIsText(key) {
		f.Key = x.appendKey
		f.ParseKey = func(text []byte) ([]byte, error) {
			data, err := x.parseKey(string(text))
			if err != nil {
				return nil, err
			}
			if back, err := x.appendKey(nil, data); err != nil || !bytes.Equal(back, text) {
				return nil, fmt.Errorf("%q is not how a key is written", text)
			}
			return data, nil
		}
	}
	switch any(value).(type) {
	case codec.String, codec.Bytes, codec.JSON[V]:
	case codec.Int64:
		f.Value = appendInteger(codec.Int64{})
	case codec.Int32:
		f.Value = appendInteger(codec.Int32{})
	case codec.Int16:
		f.Value = appendInteger(codec.Int16{})
	default:
		f.Value = func(to, data []byte) ([]byte, error) {
			text, err := x.formatValue(data)
			if err != nil {
				return nil, err
			}
			return append(to, unquoted(text)...), nil
		}
	}
	return f
}

// keyIsText reports whether the bytes of keys are their text: also JSON, unless it
// is that of strings, which are written without quotes.
func keyIsText[K any](c codec.Codec[K]) bool {
	if _, ok := c.(codec.JSON[K]); ok {
		return reflect.TypeFor[K]().Kind() != reflect.String
	}
	return isText(c)
}

// appendKey appends the text of a key, if the key is read back from it.
func (x *texts) appendKey(to, key []byte) ([]byte, error) {
	if x.exactKey != nil {
		return x.exactKey(to, key)
	}
	text, err := x.formatKey(key)
	if err != nil {
		return nil, err
	}
	switch back, err := x.parseKey(text); {
	case err != nil:
		return nil, fmt.Errorf("key %q is written as %q, which is no key: %w", key, text, err)
	case !bytes.Equal(back, key):
		return nil, fmt.Errorf("key %q is written as %q, and so is the key %q", key, text, back)
	}
	return append(to, text...), nil
}

// exactText returns what appends the text of a key where it is known that no two
// keys have one text, else nil.
func exactText(c any) func(to, key []byte) ([]byte, error) {
	switch c := c.(type) {
	case codec.String, codec.Bytes:
		return func(to, key []byte) ([]byte, error) { return append(to, key...), nil }
	case codec.Int64:
		return appendInteger(c)
	case codec.Int32:
		return appendInteger(c)
	case codec.Int16:
		return appendInteger(c)
	case windowKeys:
		return c.exactText(new(int64))
	}
	return nil
}

// appendInteger returns what appends an integer in decimal.
func appendInteger[T int64 | int32 | int16, C codec.Codec[T]](c C) func(to, data []byte) ([]byte, error) {
	return func(to, data []byte) ([]byte, error) {
		v, err := c.Decode(data)
		if err != nil {
			return nil, err
		}
		return strconv.AppendInt(to, int64(v), 10), nil
	}
}

// unquoted returns the string that a JSON string stands for, or what is none as it
// is.
func unquoted(text []byte) []byte {
	var s string
	if len(text) == 0 || text[0] != '"' || json.Unmarshal(text, &s) != nil {
		return text
	}
	return []byte(s)
}
