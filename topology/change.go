package topology

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tidemark-dev/tidemark/codec"
)

// A Change is what happened to one row: Old is nil if it is new, New is nil if
// it was deleted.
type Change[V any] struct {
	Old *V `json:"old,omitempty"`
	New *V `json:"new,omitempty"`
}

// A changed is a *Change without its type.
type changed interface {
	rows() int64   // how many more there are now
	forgetOld()    // of an old side that no row knows
	nothing() bool // neither side is left
}

func isChange[V any]() bool {
	_, ok := any((*V)(nil)).(changed)
	return ok
}

func (c *Change[V]) forgetOld()    { c.Old = nil }
func (c *Change[V]) nothing() bool { return c.Old == nil && c.New == nil }

func (c *Change[V]) rows() int64 {
	switch {
	case c.Old == nil && c.New != nil:
		return 1
	case c.Old != nil && c.New == nil:
		return -1
	}
	return 0
}

// changeCodec stores changes, as Regroup sends them: a byte that is the version,
// then the old side and the new one, each as its length plus 1, a varint, and what
// the codec of the values made of it; a side that is missing is one zero byte.
type changeCodec[V any] struct{ values codec.Codec[V] }

const changeVersion = 1

var errNoChange = errors.New("not a change of a row")

func (c changeCodec[V]) Encode(v Change[V]) ([]byte, error) {
	old, err := c.side(v.Old)
	if err != nil {
		return nil, err
	}
	now, err := c.side(v.New)
	if err != nil {
		return nil, err
	}
	return joinChange(old, now), nil
}

// side returns one side, nil if it is missing.
func (c changeCodec[V]) side(v *V) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	return encode(c.values, *v)
}

func (c changeCodec[V]) Decode(data []byte) (v Change[V], err error) {
	old, now, err := cutChange(data)
	if err != nil {
		return v, err
	}
	for _, side := range []struct {
		data []byte
		to   **V
	}{{old, &v.Old}, {now, &v.New}} {
		if side.data == nil {
			continue
		}
		decoded, err := c.values.Decode(side.data)
		if err != nil {
			return Change[V]{}, err
		}
		*side.to = &decoded
	}
	return v, nil
}

// FormatText prints {"old":…,"new":…}, without the side that is missing.
func (c changeCodec[V]) FormatText(data []byte) ([]byte, error) {
	old, now, err := cutChange(data)
	if err != nil {
		return nil, err
	}
	var text Change[json.RawMessage]
	for _, side := range []struct {
		data []byte
		to   **json.RawMessage
	}{{old, &text.Old}, {now, &text.New}} {
		if side.data == nil {
			continue
		}
		formatted, err := formatValue(c.values, side.data)
		if err != nil {
			return nil, err
		}
		*side.to = (*json.RawMessage)(&formatted)
	}
	return json.Marshal(text)
}

// ParseText reads what FormatText prints.
func (c changeCodec[V]) ParseText(text []byte) ([]byte, error) {
	var sides Change[json.RawMessage]
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&sides); err != nil {
		return nil, err
	}
	var old, now []byte
	for _, side := range []struct {
		text *json.RawMessage
		to   *[]byte
	}{{sides.Old, &old}, {sides.New, &now}} {
		if side.text == nil || isNullText(*side.text) {
			continue
		}
		parsed, err := parseValue(c.values, *side.text)
		if err != nil {
			return nil, err
		}
		*side.to = parsed
	}
	if old == nil && now == nil {
		return nil, fmt.Errorf("%w: it has neither an old side nor a new one", errNoChange)
	}
	return joinChange(old, now), nil
}

func joinChange(old, now []byte) []byte {
	data := make([]byte, 1, 1+2*binary.MaxVarintLen32+len(old)+len(now))
	data[0] = changeVersion
	for _, side := range [][]byte{old, now} {
		if side == nil {
			data = append(data, 0)
			continue
		}
		data = append(binary.AppendUvarint(data, uint64(len(side))+1), side...)
	}
	return data
}

// cutChange returns the sides of a change. One of them, at least, is not nil.
func cutChange(data []byte) (old, now []byte, err error) {
	if len(data) == 0 || data[0] != changeVersion {
		return nil, nil, fmt.Errorf("%w: its first byte is not %d", errNoChange, changeVersion)
	}
	rest := data[1:]
	if old, rest, err = cutSide(rest); err != nil {
		return nil, nil, err
	}
	if now, rest, err = cutSide(rest); err != nil {
		return nil, nil, err
	}
	switch {
	case len(rest) > 0:
		return nil, nil, fmt.Errorf("%w: %d bytes follow it", errNoChange, len(rest))
	case old == nil && now == nil:
		return nil, nil, fmt.Errorf("%w: both sides are missing", errNoChange)
	}
	return old, now, nil
}

func cutSide(data []byte) (side, rest []byte, err error) {
	size, n := binary.Uvarint(data)
	if n <= 0 || n > 1 && data[n-1] == 0 { // too short, too large, or longer than it need be
		return nil, nil, fmt.Errorf("%w: a length is not one", errNoChange)
	}
	data = data[n:]
	if size == 0 {
		return nil, data, nil
	}
	if size--; size > uint64(len(data)) {
		return nil, nil, fmt.Errorf("%w: a side of %d bytes, and %d are left", errNoChange, size, len(data))
	}
	return data[:size:size], data[size:], nil
}
