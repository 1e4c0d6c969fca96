package codec

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// JSON stores a value as encoding/json writes it. A field that T does not know
// is passed over, since a newer writer may have added it. The literal null is
// refused unless T is a pointer, map, slice or interface: what is missing is a
// record without a value.
type JSON[T any] struct{}

// Encode returns v as encoding/json writes it where a pointer to it is at hand, so
// that a method of *T is used, too.
func (JSON[T]) Encode(v T) ([]byte, error) { return json.Marshal(&v) }

// Decode reads exactly one JSON value.
func (JSON[T]) Decode(data []byte) (v T, err error) {
	if isNull(data) && !nillable(reflect.TypeFor[T]()) {
		return v, errNull
	}
	// A value that is decoded in part must not get out.
	if err := json.Unmarshal(data, &v); err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}

// Check accepts valid JSON that starts as a T does: with { for a struct, and so
// on. It does not look at what is inside.
func (JSON[T]) Check(data []byte) error {
	if scan(data, 0, 0) != len(data) && !json.Valid(data) {
		return syntaxError(data)
	}
	t := reflect.TypeFor[T]()
	switch token := firstByte(data); {
	case token == 'n' && nillable(t):
		return nil
	case token == 'n':
		return errNull
	case !startsWith(t, token) && !decodesItself(t):
		return fmt.Errorf("%s, not %s", tokenName(token), kindName(t))
	}
	return nil
}

var errNull = errors.New("null: a tombstone is a record without a value")

// syntaxError says what is wrong with JSON that is not valid.
func syntaxError(data []byte) error {
	var v json.RawMessage
	return json.Unmarshal(data, &v)
}

// firstByte returns the first byte that is not white space, or 0.
func firstByte(data []byte) byte {
	for _, c := range data {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c
		}
	}
	return 0
}

func isNull(data []byte) bool {
	return firstByte(data) == 'n' && string(bytes.Trim(data, " \t\r\n")) == "null"
}

func nillable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		return true
	}
	return false
}

// startsWith reports whether a JSON value for t, which has no method to decode
// itself, may start with the byte.
func startsWith(t reflect.Type, token byte) bool {
	switch pointed(t).Kind() {
	case reflect.Struct, reflect.Map:
		return token == '{'
	case reflect.Slice:
		return token == '[' || token == '"' // bytes in base64
	case reflect.Array:
		return token == '['
	case reflect.String:
		return token == '"'
	case reflect.Bool:
		return token == 't' || token == 'f'
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64:
		return token == '-' || '0' <= token && token <= '9'
	}
	return true
}

// decodesItself reports whether a method of t, or of what it points to, decodes
// it. A json.Number is read in a way of its own, too.
func decodesItself(t reflect.Type) bool {
	for range maxPointers {
		if t == reflect.TypeFor[json.Number]() {
			return true
		}
		// encoding/json looks for the methods of the pointer.
		p := reflect.PointerTo(t)
		if p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
			return true
		}
		if t.Kind() != reflect.Pointer {
			return false
		}
		t = t.Elem()
	}
	return true
}

// maxPointers ends what a type that points to itself would make endless.
const maxPointers = 8

func pointed(t reflect.Type) reflect.Type {
	for range maxPointers {
		if t.Kind() != reflect.Pointer {
			break
		}
		t = t.Elem()
	}
	return t
}

// tokenName names the kind of value that starts with token.
func tokenName(token byte) string {
	switch token {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a bool"
	}
	return "a number"
}

// kindName names the kind of value that startsWith wants.
func kindName(t reflect.Type) string {
	switch t = pointed(t); t.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a bool"
	}
	return "a number"
}
