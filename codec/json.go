package codec

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
)

// JSON stores a value as encoding/json writes it. A field that T does not know
// is passed over, since a newer writer may have added it. The literal null is
// refused unless T is a pointer, map, slice or interface: what is missing is a
// record without a value.
type JSON[T any] struct{}

// Encode returns v as encoding/json writes it.
func (JSON[T]) Encode(v T) ([]byte, error) { return json.Marshal(v) }

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
	t := reflect.TypeFor[T]()
	token := firstByte(data)
	if token == 'n' && isNull(data) {
		if !nillable(t) {
			return errNull
		}
		return nil
	}
	if !json.Valid(data) {
		return syntaxError(data)
	}
	if first := tokensOf(t); first != "" && strings.IndexByte(first, token) < 0 {
		return &json.UnmarshalTypeError{Value: tokenName(token), Type: t, Offset: 1}
	}
	return nil
}

var errNull = errors.New("null: a tombstone is a record without a value")

// syntaxError says what is wrong with JSON that is not valid.
func syntaxError(data []byte) error {
	var any json.RawMessage
	return json.Unmarshal(data, &any)
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

const (
	numberTokens = "-0123456789"
	boolTokens   = "tf"
)

// tokensOf returns the bytes with which a JSON value for t may start, or ""
// where any may: it is decoded by a method of its own, or holds any value.
func tokensOf(t reflect.Type) string {
	for {
		// encoding/json looks for the methods on the pointer, too.
		if decodesItself(t) || decodesItself(reflect.PointerTo(t)) || t == reflect.TypeFor[json.Number]() {
			return ""
		}
		if t.Kind() != reflect.Pointer {
			break
		}
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "{"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return `["` // base64, or numbers
		}
		return "["
	case reflect.Array:
		return "["
	case reflect.String:
		return `"`
	case reflect.Bool:
		return boolTokens
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64:
		return numberTokens
	}
	return ""
}

func decodesItself(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[json.Unmarshaler]()) || t.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// tokenName names the kind of value that starts with token, as encoding/json
// does in its errors.
func tokenName(token byte) string {
	switch {
	case token == '{':
		return "object"
	case token == '[':
		return "array"
	case token == '"':
		return "string"
	case strings.IndexByte(boolTokens, token) >= 0:
		return "bool"
	}
	return "number"
}
