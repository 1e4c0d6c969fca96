package topology

import (
	"fmt"
	"reflect"

	"github.com/tidemark-dev/tidemark/codec"
)

// A cell is a key or a value on its way through a task: bytes where no function
// has looked at it, a value where one has, and both where both are known.
type cell[T any] struct {
	noun     string         // key, value or row
	codec    codec.Codec[T] // of data; nil where nothing says it
	checker  codec.Checker  // nil if the codec has none, or must not be trusted
	nillable bool           // T can be nil

	data             []byte // nil if it is missing, or not encoded yet
	v                T
	missing          bool
	checked, decoded bool
}

func newCell[T any](noun string, c codec.Codec[T]) *cell[T] {
	x := &cell[T]{noun: noun, codec: c, nillable: canBeNil[T]()}
	// Check does not tell whether a value is nil, and a nil one is a missing one.
	_, whole := any(c).(codec.Bytes)
	if !x.nillable || whole || noun == "key" {
		x.checker, _ = any(c).(codec.Checker)
	}
	return x
}

// load makes it hold what lies on Kafka, or in a store.
func (x *cell[T]) load(data []byte) {
	var zero T
	x.data, x.v, x.missing = data, zero, data == nil
	x.checked, x.decoded = x.missing, x.missing
}

// set makes it hold what a function has made. Data is what the cell's codec
// makes of v, or nil if it was not asked.
func (x *cell[T]) set(v T, data []byte) {
	x.v, x.data = v, data
	x.missing = x.nillable && isNil(&x.v)
	x.checked, x.decoded = true, true
}

func (x *cell[T]) check() error {
	if x.checked {
		return nil
	}
	if x.checker == nil {
		return x.decode()
	}
	if err := x.checker.Check(x.data); err != nil {
		return fmt.Errorf("decode %s: %w", x.noun, err)
	}
	x.checked = true
	return nil
}

func (x *cell[T]) decode() (err error) {
	if x.decoded {
		return nil
	}
	if x.v, err = x.codec.Decode(x.data); err != nil {
		return fmt.Errorf("decode %s: %w", x.noun, err)
	}
	x.missing = x.nillable && isNil(&x.v)
	x.checked, x.decoded = true, true
	return nil
}

// pointer returns what may be missing as functions see it: a pointer to a copy,
// nil for a missing one. The cell is decoded.
func (x *cell[T]) pointer() *T {
	if x.missing {
		return nil
	}
	v := x.v
	return &v
}

// encoded returns the cell as c writes it, nil for a missing one. Same says
// that c is the cell's own codec: then bytes pass through, after a check.
func (x *cell[T]) encoded(k *Task, at *node, c codec.Codec[T], same bool) ([]byte, error) {
	k.at, k.policy = at, k.policies.Decode
	var err error
	if same {
		err = x.check()
	} else {
		err = x.decode()
	}
	if err != nil {
		return nil, k.refuse(at, k.policy, err)
	}
	if x.missing {
		return nil, nil
	}
	if same && x.data != nil {
		return x.data, nil
	}
	k.policy = k.policies.Process
	data, err := encode(c, x.v)
	if err != nil {
		return nil, k.refuse(at, k.policy, fmt.Errorf("encode %s: %w", x.noun, err))
	}
	if same {
		x.data = data
	}
	return data, nil
}

func canBeNil[T any]() bool {
	switch reflect.TypeFor[T]().Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface, reflect.Func, reflect.Chan:
		return true
	}
	return false
}

// isNil may be asked if canBeNil.
func isNil[T any](v *T) bool { return reflect.ValueOf(v).Elem().IsNil() }

// encode returns what a codec makes of a value that is not missing. The result
// is not nil.
func encode[T any](c codec.Codec[T], v T) ([]byte, error) {
	data, err := c.Encode(v)
	if data == nil && err == nil {
		data = []byte{}
	}
	return data, err
}
