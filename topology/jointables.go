package topology

import (
	"cmp"

	"github.com/tidemark-dev/tidemark/codec"
)

// JoinTables joins the rows of one key: a change of either side makes the row of
// the result anew, or deletes it. Its time is the later one of both sides'. The
// result is a table of its own, kept in rows. As in Kafka Streams, a change has a
// result even if the row stays as it is, and a tombstone is a change of a row that
// is not there, unless its side and the other have both been missing before.
func JoinTables[K, L, R, O any](l Table[K, L], r Table[K, R], rows Store[K, O], by Joiner[K, L, R, O]) Table[K, O] {
	b, left := l.upstream()
	rb, right := r.upstream()
	b = cmp.Or(b, rb)
	n := b.add("join table "+rows.Name, distinct(left.node, right.node)...)
	b.meet(n, l.b)
	b.meet(n, rb)
	by.check(b, n, false)
	faulty := left.faulty || right.faulty
	b.sameKeys(n, left.node, left.key, right.node, right.key, faulty)
	values, _ := any(left.value).(codec.Codec[O])
	table, rows := keep(b, n, "join", left.name, rows, left.key, values, faulty)
	table.expires(rows.TTL)
	down := &stream[K, O]{node: n, key: rows.Key, value: rows.Value, windows: left.windows, faulty: faulty}
	left.needsOld = left.needsOld || by.leaves(sideLeft)
	right.needsOld = right.needsOld || by.leaves(sideRight)
	left.feed(n, func(k *Task) step[K, L] {
		return startTableSide(k, down, table, r.rows, newCell("row", right.value), by.leaves(sideLeft), by.leaves(sideRight), by.fn)
	})
	right.feed(n, func(k *Task) step[K, R] {
		turned := func(key K, r *cell[R], l *cell[L]) O { return by.fn(key, l, r) }
		return startTableSide(k, down, table, l.rows, newCell("row", left.value), by.leaves(sideRight), by.leaves(sideLeft), turned)
	})
	return Table[K, O]{b, down, table}
}

// startTableSide returns what joins the changes of one side with the rows of the
// other. Alone says that a row of this side has a result without one of the
// other, otherAlone the same of the other.
func startTableSide[K, A, B, O any](k *Task, down *stream[K, O], table, others *kept, other *cell[B], alone, otherAlone bool, join func(K, *cell[A], *cell[B]) O) step[K, A] {
	put, theirs := startTable(k, down, table), k.store(others)
	made := newItem[K, O](nil, down.value)
	return func(it *item[K, A]) error {
		if filed, err := it.file(k, down.node, down.key); !filed {
			return err
		}
		data, at, err := theirs.get(it.key.data)
		if err != nil {
			return err
		}
		if data == nil && (!alone || it.value.missing && it.old.missing) {
			return nil
		}
		follow(made, it)
		if data != nil {
			made.time = max(it.time, at)
		}
		if it.value.missing && (data == nil || !otherAlone) {
			made.value.load(nil)
			return put(made, nil, true)
		}
		if err := other.loadRow(k, down.node, data); err != nil {
			return err
		}
		if err := it.decode(k, down.node); err != nil {
			return err
		}
		made.value.set(join(it.key.v, it.value, other), nil)
		if data, err = made.value.encoded(k, down.node, down.value, true); err != nil {
			return err
		}
		return put(made, data, true)
	}
}

// decode makes key and value ready for a function, as look does, where a missing
// value is shown, too.
func (it *item[K, V]) decode(k *Task, at *node) error {
	k.at, k.policy = at, k.policies.Process
	err := it.key.decode()
	if err == nil {
		err = it.value.decode()
	}
	if err != nil {
		return k.refuse(at, k.policy, err)
	}
	return nil
}
