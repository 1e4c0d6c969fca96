package topology

import "github.com/tidemark-dev/tidemark/codec"

// An item is a record on its way through a task. Of a table it is a change:
// value is the row as it is now, missing if it was deleted, and old what it was.
type item[K, V any] struct {
	key     *cell[K]
	value   *cell[V]
	old     *cell[V] // nil unless the stream is one of changes and somebody asked for it
	time    int64    // in milliseconds since 1970
	headers []Header
}

func newItem[K, V any](keys codec.Codec[K], values codec.Codec[V]) *item[K, V] {
	return &item[K, V]{key: newCell("key", keys), value: newCell("value", values)}
}

// follow takes over what a step does not change.
func follow[K, V, W any](made *item[K, W], it *item[K, V]) {
	made.key, made.time, made.headers = it.key, it.time, it.headers
}

// look makes key and value ready for a function of the step at. It reports
// false for a record that is not shown to functions: it has no value.
func (it *item[K, V]) look(k *Task, at *node) (bool, error) {
	if it.value.missing && !it.value.nillable {
		k.drop(NoValue)
		return false, nil
	}
	k.at, k.policy = at, k.policies.Decode
	err := it.key.decode()
	if err == nil {
		err = it.value.decode()
	}
	if err != nil {
		return false, k.refuse(at, k.policy, err)
	}
	k.policy = k.policies.Process
	return true, nil
}

// file reports false for a record that cannot be in a table: it has no key. Else
// the key's bytes are in key.data. Keys are the codec of the table's keys.
func (it *item[K, V]) file(k *Task, at *node, keys codec.Codec[K]) (bool, error) {
	if it.key.missing {
		k.drop(NoKey)
		return false, nil
	}
	if it.key.data != nil {
		k.at, k.policy = at, k.policies.Decode
		if err := it.key.check(); err != nil {
			return false, k.refuse(at, k.policy, err)
		}
		return true, nil
	}
	_, err := it.key.encoded(k, at, keys, true)
	return true, err
}
