package topology

import (
	"fmt"
	"reflect"

	"github.com/tidemark-dev/tidemark/codec"
)

// A key is that of the record that a task processes. It is decoded when a
// function first looks at it.
type key[K any] struct {
	codec   codec.Codec[K]
	checker codec.Checker // nil if the codec has none

	data             []byte // nil if it is missing
	value            K
	checked, decoded bool
}

func newKey[K any](c codec.Codec[K]) *key[K] {
	checker, _ := any(c).(codec.Checker)
	return &key[K]{codec: c, checker: checker}
}

func (x *key[K]) reset(data []byte) {
	var zero K
	x.data, x.value = data, zero
	x.checked, x.decoded = data == nil, data == nil
}

func (x *key[K]) check() error {
	if x.checked {
		return nil
	}
	if x.checker == nil {
		return x.decode()
	}
	if err := x.checker.Check(x.data); err != nil {
		return fmt.Errorf("decode key: %w", err)
	}
	x.checked = true
	return nil
}

func (x *key[K]) decode() (err error) {
	if x.decoded {
		return nil
	}
	if x.value, err = x.codec.Decode(x.data); err != nil {
		return fmt.Errorf("decode key: %w", err)
	}
	x.checked, x.decoded = true, true
	return nil
}

// An item is a record on its way through a task: bytes where no function has
// looked at the value, a value where one has, and both where both are known.
type item[K, V any] struct {
	*key[K]
	codec    codec.Codec[V] // of data
	checker  codec.Checker  // nil if the codec has none, or must not be trusted
	nillable bool           // V can be nil

	data             []byte
	value            V
	missing          bool
	checked, decoded bool
}

func newItem[K, V any](k *key[K], values codec.Codec[V]) *item[K, V] {
	it := &item[K, V]{key: k, codec: values, nillable: canBeNil[V]()}
	// Check does not tell whether a value is nil, and a nil one is a missing one.
	_, whole := any(values).(codec.Bytes)
	if !it.nillable || whole {
		it.checker, _ = any(values).(codec.Checker)
	}
	return it
}

// resetData makes it hold what lies on Kafka.
func (it *item[K, V]) resetData(data []byte) {
	var zero V
	it.data, it.value, it.missing = data, zero, data == nil
	it.checked, it.decoded = it.missing, it.missing
}

// resetValue makes it hold what a function has made. Data is what the item's
// codec makes of v, or nil if it was not asked.
func (it *item[K, V]) resetValue(v V, data []byte) {
	it.value, it.data = v, data
	it.missing = it.nillable && isNil(&it.value)
	it.checked, it.decoded = true, true
}

func (it *item[K, V]) check() error {
	if it.checked {
		return nil
	}
	if it.checker == nil {
		return it.decode()
	}
	if err := it.checker.Check(it.data); err != nil {
		return fmt.Errorf("decode value: %w", err)
	}
	it.checked = true
	return nil
}

func (it *item[K, V]) decode() (err error) {
	if it.decoded {
		return nil
	}
	if it.value, err = it.codec.Decode(it.data); err != nil {
		return fmt.Errorf("decode value: %w", err)
	}
	it.missing = it.nillable && isNil(&it.value)
	it.checked, it.decoded = true, true
	return nil
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

// look makes key and value ready for a function of the step at. It reports
// false for a record that is not shown to functions: it has no value.
func (it *item[K, V]) look(k *Task, at *node) (bool, error) {
	if it.missing && !it.nillable {
		k.writes.Dropped = true
		return false, nil
	}
	k.at, k.policy = at, k.policies.Decode
	err := it.key.decode()
	if err == nil {
		err = it.decode()
	}
	if err != nil {
		return false, k.refuse(at, k.policy, err)
	}
	k.policy = k.policies.Process
	return true, nil
}

// file reports false for a record that cannot be in a table: it has no key.
func (it *item[K, V]) file(k *Task, at *node) (bool, error) {
	if it.key.data == nil {
		k.writes.Dropped = true
		return false, nil
	}
	k.at, k.policy = at, k.policies.Decode
	if err := it.key.check(); err != nil {
		return false, k.refuse(at, k.policy, err)
	}
	return true, nil
}

// encoded returns the value as c writes it, nil for a missing one. Same says
// that c is the item's own codec: then bytes pass through, after a check.
func (it *item[K, V]) encoded(k *Task, at *node, c codec.Codec[V], same bool) ([]byte, error) {
	k.at, k.policy = at, k.policies.Decode
	var err error
	if same {
		err = it.check()
	} else {
		err = it.decode()
	}
	if err != nil {
		return nil, k.refuse(at, k.policy, err)
	}
	if it.missing {
		return nil, nil
	}
	if same && it.data != nil {
		return it.data, nil
	}
	k.policy = k.policies.Process
	data, err := encode(c, it.value)
	if err != nil {
		return nil, k.refuse(at, k.policy, fmt.Errorf("encode value: %w", err))
	}
	if same {
		it.data = data
	}
	return data, nil
}

// encodedKey returns the key as c writes it, nil for a missing one.
func (it *item[K, V]) encodedKey(k *Task, at *node, c codec.Codec[K], same bool) ([]byte, error) {
	k.at, k.policy = at, k.policies.Decode
	var err error
	if same {
		err = it.key.check()
	} else {
		err = it.key.decode()
	}
	if err != nil {
		return nil, k.refuse(at, k.policy, err)
	}
	if same || it.key.data == nil {
		return it.key.data, nil
	}
	k.policy = k.policies.Process
	data, err := encode(c, it.key.value)
	if err != nil {
		return nil, k.refuse(at, k.policy, fmt.Errorf("encode key: %w", err))
	}
	return data, nil
}
