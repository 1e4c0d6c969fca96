package topology

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidemark-dev/tidemark/codec"
)

// Parse makes a record of a topic or store from text: the key as Format prints
// it, the value as JSON, nil for a tombstone. A value that is kept as text or
// bytes may be given as it is, without quotes. One that is kept as JSON is taken
// byte for byte, also with fields that its type does not know: see UnknownField.
func (t *Topology) Parse(name, key string, value []byte) (Raw, error) {
	x, kind, ok := t.texts(name)
	if !ok {
		return Raw{}, fmt.Errorf("%q: application %q has no such topic or store, it has %s", name, t.application, quoted(append(t.Topics(), t.Stores()...)))
	}
	r := Raw{Position: Position{Topic: name}}
	var err error
	if r.Key, err = x.parseKey(key); err != nil {
		return Raw{}, fmt.Errorf("%s %q: key %q: %w", kind, name, key, err)
	}
	if value == nil {
		return r, nil
	}
	r.Value, err = t.ParseValue(name, value)
	return r, err
}

// ParseValue returns the bytes of a value of a topic or store, as Parse reads it.
func (t *Topology) ParseValue(name string, text []byte) ([]byte, error) {
	x, kind, ok := t.texts(name)
	if !ok {
		return nil, fmt.Errorf("%q: application %q has no such topic or store", name, t.application)
	}
	value, err := x.parseValue(text)
	if err != nil {
		return nil, fmt.Errorf("%s %q: value %s: %w", kind, name, text, err)
	}
	return value, nil
}

// Format prints a record of a topic, a store or its changelog topic: its key as
// text, its value as compact JSON, nil for a tombstone. A missing key is "".
func (t *Topology) Format(r Raw) (key string, value []byte, err error) {
	x, kind, ok := t.texts(r.Topic)
	if !ok {
		return "", nil, fmt.Errorf("%q: application %q has no such topic or store, it has %s", r.Topic, t.application, quoted(append(t.Topics(), t.Stores()...)))
	}
	if r.Key != nil {
		if key, err = x.formatKey(r.Key); err != nil {
			return "", nil, fmt.Errorf("%s %q: decode key: %w", kind, r.Topic, err)
		}
	}
	if r.Value != nil {
		if value, err = x.formatValue(r.Value); err != nil {
			return "", nil, fmt.Errorf("%s %q: decode value: %w", kind, r.Topic, err)
		}
	}
	return key, value, nil
}

// UnknownField says which field of a value, given as JSON, the type of a topic's or
// store's values does not know, nil if none. Who reads the record passes over it.
func (t *Topology) UnknownField(name string, value []byte) error {
	x, _, ok := t.texts(name)
	if !ok || x.strict == nil || value == nil {
		return nil
	}
	return x.strict(value)
}

func (t *Topology) texts(name string) (x texts, kind string, ok bool) {
	if x, ok = t.topics[name]; ok {
		return x, "topic", true
	}
	if x, ok = t.stores[name]; ok {
		return x, "store", true
	}
	x, ok = t.changelogs[name]
	return x, "changelog", ok
}

// texts turns the bytes of keys and values into text and back.
type texts struct {
	key, value  string // the codecs' names
	parseKey    func(string) ([]byte, error)
	formatKey   func([]byte) (string, error)
	parseValue  func([]byte) ([]byte, error)
	formatValue func([]byte) ([]byte, error)
	strict      func(text []byte) error                                                // refuses a field that V does not know; nil if V is not kept as JSON
	prefix      func(text string) ([]byte, error)                                      // of a key's bytes
	windows     func(text string, since, until time.Time) (from, to []byte, err error) // of a key; nil if keys are not windowed

	exactKey   func(to, key []byte) ([]byte, error) // appends what formatKey returns; nil if two keys may have one text
	windowSize *int64                               // of the keys' windows in milliseconds, 0 if it is not known
}

func newTexts[K, V any](key codec.Codec[K], value codec.Codec[V]) texts {
	x := texts{
		key: codecName(key), value: codecName(value),
		parseKey:    func(text string) ([]byte, error) { return parseKey(key, text) },
		formatKey:   func(data []byte) (string, error) { return formatKey(key, data) },
		parseValue:  func(text []byte) ([]byte, error) { return parseValue(value, text) },
		formatValue: func(data []byte) ([]byte, error) { return formatValue(value, data) },
		prefix:      func(text string) ([]byte, error) { return plainPrefix(key, text) },
		exactKey:    exactText(key),
		windowSize:  new(int64),
	}
	if _, ok := any(value).(codec.JSON[V]); ok {
		x.strict = func(text []byte) error { _, err := decodeStrict[V](text); return err }
	}
	if w, ok := any(key).(windowKeys); ok {
		x.prefix, x.windows = w.prefix, w.windows
		x.parseKey = func(text string) ([]byte, error) { return w.parseKeyText(text, *x.windowSize) }
		x.formatKey = func(data []byte) (string, error) { return w.keyText(data, *x.windowSize) }
		x.exactKey = w.exactText(x.windowSize)
	}
	return x
}

// decodeStrict decodes JSON that another codec is to write, or none: what its
// type does not know would be lost.
func decodeStrict[T any](text []byte) (v T, err error) {
	if v, err = (codec.JSON[T]{}).Decode(text); err != nil {
		return v, err
	}
	var known T
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&known); err != nil {
		return v, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return v, nil
}

// A key whose type is a string is its own text, unless it could be taken for
// JSON; so is one that its codec writes as a JSON string. A windowed key is that of
// its key and its window, see windowKeys. Every other key is JSON.

func parseKey[K any](c codec.Codec[K], text string) ([]byte, error) {
	if x, ok := any(c).(codec.Texter); ok {
		return parseTexterKey(x, text)
	}
	if w, ok := any(c).(windowKeys); ok {
		return w.parseKeyText(text, 0)
	}
	var k K
	_, isJSON := any(c).(codec.JSON[K])
	switch v := reflect.ValueOf(&k).Elem(); {
	case isBytes(c):
		return []byte(text), nil
	case v.Kind() == reflect.String && (!isJSON || !strings.HasPrefix(text, `"`)):
		v.SetString(text)
	default:
		var err error
		if k, err = decodeStrict[K]([]byte(text)); err != nil {
			return nil, err
		}
		if canBeNil[K]() && isNil(&k) {
			return nil, errNullKey
		}
	}
	return encode(c, k)
}

var errNullKey = errors.New("a key can't be null")

func parseTexterKey(x codec.Texter, text string) ([]byte, error) {
	value := []byte(text)
	if !json.Valid(value) {
		var err error
		if value, err = json.Marshal(text); err != nil {
			return nil, err
		}
	}
	data, err := x.ParseText(value)
	if data == nil && err == nil {
		err = errNullKey
	}
	return data, err
}

func formatKey[K any](c codec.Codec[K], data []byte) (string, error) {
	if isBytes(c) {
		return string(data), nil
	}
	if x, ok := any(c).(codec.Texter); ok {
		return formatTexterKey(x, data)
	}
	if w, ok := any(c).(windowKeys); ok {
		return w.keyText(data, 0)
	}
	k, err := c.Decode(data)
	if err != nil {
		return "", err
	}
	_, isJSON := any(c).(codec.JSON[K])
	if v := reflect.ValueOf(&k).Elem(); v.Kind() == reflect.String && (!isJSON || !strings.HasPrefix(v.String(), `"`)) {
		return v.String(), nil
	}
	text, err := json.Marshal(&k)
	return string(text), err
}

func formatTexterKey(x codec.Texter, data []byte) (string, error) {
	text, err := x.FormatText(data)
	if err != nil {
		return "", err
	}
	if text, err = compact(text); err != nil {
		return "", err
	}
	var s string
	if text[0] != '"' || json.Unmarshal(text, &s) != nil || json.Valid([]byte(s)) {
		return string(text), nil
	}
	return s, nil
}

func parseValue[V any](c codec.Codec[V], text []byte) ([]byte, error) {
	if isText(c) {
		if s, err := codec.Unquote(text); err == nil {
			return []byte(s), nil
		}
		return bytes.Clone(text), nil
	}
	if x, ok := any(c).(codec.Texter); ok {
		return x.ParseText(text)
	}
	decode := decodeStrict[V]
	_, kept := any(c).(codec.JSON[V])
	if kept {
		decode = codec.JSON[V]{}.Decode
	}
	switch v, err := decode(text); {
	case err != nil:
		return nil, err
	case canBeNil[V]() && isNil(&v):
		return nil, nil
	case kept:
		return bytes.Clone(text), nil
	default:
		return encode(c, v)
	}
}

func formatValue[V any](c codec.Codec[V], data []byte) ([]byte, error) {
	if j, ok := any(c).(codec.JSON[V]); ok {
		// As it lies there: with the fields that V does not know.
		if err := j.Check(data); err != nil {
			return nil, err
		}
		return compact(data)
	}
	if isBytes(c) {
		// As JSON only what compact leaves as it is: what is printed can be read back.
		if is, err := compact(data); err == nil && bytes.Equal(is, data) && data[0] != '"' && !isNullText(data) && utf8.Valid(data) {
			return is, nil
		}
		return codec.Quote(string(data)), nil
	}
	if isText(c) {
		return codec.Quote(string(data)), nil
	}
	if x, ok := any(c).(codec.Texter); ok {
		text, err := x.FormatText(data)
		if err != nil {
			return nil, err
		}
		return compact(text)
	}
	v, err := c.Decode(data)
	if err != nil {
		return nil, err
	}
	return json.Marshal(&v)
}

func compact(text []byte) ([]byte, error) {
	var b bytes.Buffer
	err := json.Compact(&b, text)
	return b.Bytes(), err
}

func isBytes(c any) bool {
	_, ok := c.(codec.Bytes)
	return ok
}

// isText reports whether values need not be JSON to be written as text.
func isText(c any) bool {
	_, ok := c.(codec.String)
	return ok || isBytes(c)
}

func isNullText(text []byte) bool { return string(bytes.TrimSpace(text)) == "null" }
