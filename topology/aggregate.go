package topology

import (
	"fmt"

	"github.com/tidemark-dev/tidemark/codec"
)

// Count counts the records of each key. The codec of the counts defaults to
// [codec.Int64]. A record without a key, or without a value unless V can be
// nil, is dropped.
func Count[K, V any](s Stream[K, V], rows Store[K, int64]) Table[K, int64] {
	b, up := s.upstream()
	t, down, rows := keep[K, V, int64](b, up, "count", rows, codec.Int64{})
	up.feed(down.node, func(k *Task) step[K, V] {
		put := startRows(k, down, rows)
		return func(it *item[K, V]) error {
			if filed, err := it.file(k, down.node); !filed {
				return err
			}
			if it.missing && !it.nillable {
				k.writes.Dropped = true
				return nil
			}
			if err := it.check(); err != nil {
				return k.refuse(down.node, k.policy, err)
			}
			n, err := row(k, down.node, it.key.data, rows.Value)
			if err != nil {
				return err
			}
			return put(it.key, n+1)
		}
	})
	return Table[K, int64]{b, down, t}
}

// Aggregate folds the values of each key into a row, which starts as the zero
// A. A fold that returns nil, if A can be, deletes the row. A record without a
// key, or without a value unless V can be nil, is dropped.
func Aggregate[K, V, A any](s Stream[K, V], rows Store[K, A], fold func(k K, v V, kept A) A) Table[K, A] {
	b, up := s.upstream()
	values, _ := any(up.value).(codec.Codec[A])
	t, down, rows := keep(b, up, "aggregate", rows, values)
	if fold == nil {
		b.wrong("%s: the function is nil", down.name)
	}
	up.feed(down.node, func(k *Task) step[K, V] {
		put := startRows(k, down, rows)
		return func(it *item[K, V]) error {
			if filed, err := it.file(k, down.node); !filed {
				return err
			}
			if shown, err := it.look(k, down.node); !shown {
				return err
			}
			kept, err := row(k, down.node, it.key.data, rows.Value)
			if err != nil {
				return err
			}
			return put(it.key, fold(it.key.value, it.value, kept))
		}
	})
	return Table[K, A]{b, down, t}
}

// row returns a row's value, or the zero A.
func row[A any](k *Task, at *node, key []byte, values codec.Codec[A]) (a A, err error) {
	k.at = nil
	data, err := k.rows.Get(key)
	if err != nil {
		return a, fmt.Errorf("%s: read row: %w", at.name, err)
	}
	k.at, k.policy = at, k.policies.Process
	if data == nil {
		return a, nil
	}
	if a, err = values.Decode(data); err != nil {
		return a, k.refuse(at, k.policy, fmt.Errorf("decode row: %w", err))
	}
	return a, nil
}

// startRows returns what writes a row and passes the change on. A nil value
// deletes it.
func startRows[K, A any](k *Task, down *stream[K, A], rows Store[K, A]) func(*key[K], A) error {
	next := down.start(k)
	change := newItem[K, A](nil, rows.Value)
	return func(key *key[K], a A) error {
		change.key = key
		change.resetValue(a, nil)
		data, err := change.encoded(k, down.node, rows.Value, true)
		if err != nil {
			return err
		}
		k.write(key.data, data)
		return next(change)
	}
}
