package topology

import (
	"bytes"

	"github.com/tidemark-dev/tidemark/codec"
)

// Count counts the records of each key. The codec of the counts defaults to
// [codec.Int64]. A record without a key, or without a value unless V can be
// nil, is dropped.
func Count[K, V any](s Stream[K, V], rows Store[K, int64]) Table[K, int64] {
	b, up := s.upstream()
	table, down, rows := tableOf[K, V, int64](b, up, "count", rows, codec.Int64{})
	up.feed(down.node, func(k *Task) step[K, V] {
		fold := startFold(k, down, table, rows)
		return func(it *item[K, V]) error {
			if it.value.missing && !it.value.nillable {
				k.writes.Dropped = true
				return nil
			}
			if filed, err := it.file(k, down.node, rows.Key); !filed {
				return err
			}
			if err := it.value.check(); err != nil {
				return k.refuse(down.node, k.policy, err)
			}
			return fold(it.key, it.time, it.headers, func(n int64) int64 { return n + 1 })
		}
	})
	return Table[K, int64]{b, down, table}
}

// Aggregate folds the values of each key into a row, which starts as the zero
// A. A fold that returns nil, if A can be, deletes the row. A record without a
// key, or without a value unless V can be nil, is dropped.
func Aggregate[K, V, A any](s Stream[K, V], rows Store[K, A], fold func(k K, v V, kept A) A) Table[K, A] {
	b, up := s.upstream()
	values, _ := any(up.value).(codec.Codec[A])
	table, down, rows := tableOf(b, up, "aggregate", rows, values)
	b.needs(down.node, fold == nil)
	up.feed(down.node, func(k *Task) step[K, V] {
		change := startFold(k, down, table, rows)
		return func(it *item[K, V]) error {
			if filed, err := it.file(k, down.node, rows.Key); !filed {
				return err
			}
			if shown, err := it.look(k, down.node); !shown {
				return err
			}
			return change(it.key, it.time, it.headers, func(kept A) A { return fold(it.key.v, it.value.v, kept) })
		}
	})
	return Table[K, A]{b, down, table}
}

// startFold returns what changes a row by a function and passes the change on.
// The row's time is that of its newest record.
func startFold[K, A any](k *Task, down *stream[K, A], table *kept, rows Store[K, A]) func(key *cell[K], time int64, headers []Header, fold func(A) A) error {
	next, r := down.start(k), k.store(table)
	change := newItem(down.key, down.value)
	old := newCell("row", down.value)
	if down.needsOld {
		change.old = old
	}
	return func(key *cell[K], time int64, headers []Header, fold func(A) A) error {
		data, at, err := r.get(key.data)
		if err != nil {
			return err
		}
		if down.needsOld {
			data = bytes.Clone(data)
		}
		if data != nil {
			time = max(time, at)
		}
		k.at, k.policy = down.node, k.policies.Process
		old.load(data)
		if err := old.decode(); err != nil {
			return k.refuse(down.node, k.policy, err)
		}
		change.key, change.time, change.headers = key, time, headers
		change.value.set(fold(old.v), nil)
		if data, err = change.value.encoded(k, down.node, rows.Value, true); err != nil {
			return err
		}
		r.put(key.data, data, time)
		return next(change)
	}
}
