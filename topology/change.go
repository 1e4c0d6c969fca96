package topology

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology/internal/wire"
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

// changeCodec stores changes, as Regroup sends them: each side is what the codec of
// the values made of it.
type changeCodec[V any] struct{ values codec.Codec[V] }

func (c changeCodec[V]) Encode(v Change[V]) ([]byte, error) {
	old, err := c.side(v.Old)
	if err != nil {
		return nil, err
	}
	now, err := c.side(v.New)
	if err != nil {
		return nil, err
	}
	return wire.JoinChange(old, now), nil
}

// side returns one side, nil if it is missing.
func (c changeCodec[V]) side(v *V) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	return encode(c.values, *v)
}

func (c changeCodec[V]) Decode(data []byte) (v Change[V], err error) {
	old, now, err := wire.CutChange(data)
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
	old, now, err := wire.CutChange(data)
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
		return nil, fmt.Errorf("%w: it has neither an old side nor a new one", wire.ErrNoChange)
	}
	return wire.JoinChange(old, now), nil
}
