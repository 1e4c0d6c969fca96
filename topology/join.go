package topology

import (
	"cmp"

	"github.com/tidemark-dev/tidemark/codec"
)

// Join looks up each record's key in a table, as the table is at that moment: a
// change of the table alone has no result. A result has the time of its record. A
// record without a value is dropped; one without a key has no right side, so that
// an inner join drops it. Keys of both must be encoded alike, and their topics
// have the same number of partitions.
func Join[K, L, R, O any](s Stream[K, L], t Table[K, R], by Joiner[K, L, R, O]) Stream[K, O] {
	b, up := s.upstream()
	tb, table := t.upstream()
	b = cmp.Or(b, tb)
	down := below[K, L, O](b, up, b.number("join"))
	down.ups = distinct(up.node, table.node)
	b.meet(down.node, s.b)
	b.meet(down.node, tb)
	b.keyed(down.node, up.rekeyed)
	b.sameKeys(down.node, up.node, up.key, table.node, table.key, up.faulty || table.faulty)
	by.check(b, down.node, true)
	up.feed(down.node, func(k *Task) step[K, L] {
		return startLookUp(k, down, k.store(t.rows), table.value, by, func(it *item[K, L]) ([]byte, error) {
			if it.key.missing {
				return nil, nil
			}
			_, err := it.file(k, down.node, table.key)
			return it.key.data, err
		})
	})
	return Stream[K, O]{b, down}
}

// JoinGlobal looks up another key of each record in a global table. Without ok
// the record has none, and no right side: an inner join drops it. Nothing else
// is different from Join, but that keys and partitions may differ.
func JoinGlobal[K, L, G, R, O any](s Stream[K, L], t GlobalTable[G, R], key func(K, L) (g G, ok bool), by Joiner[K, L, R, O]) Stream[K, O] {
	b, up := s.upstream()
	b = cmp.Or(b, t.b)
	down := below[K, L, O](b, up, b.number("join global"))
	b.needs(down.node, key == nil)
	by.check(b, down.node, true)
	b.meet(down.node, s.b)
	b.meet(down.node, t.b)
	if t.g == nil {
		return Stream[K, O]{b, down}
	}
	down.ups = append(down.ups, t.g.node)
	up.feed(down.node, func(k *Task) step[K, L] {
		return startLookUp(k, down, k.stores[t.g.Store], t.v, by, func(it *item[K, L]) ([]byte, error) {
			g, ok := key(it.key.v, it.value.v)
			if !ok || canBeNil[G]() && isNil(&g) {
				return nil, nil
			}
			data, err := encode(t.k, g)
			if err != nil {
				return nil, k.refuse(down.node, k.policy, err)
			}
			return data, nil
		})
	})
	return Stream[K, O]{b, down}
}

// startLookUp returns what joins records with the rows whose keys they lead to,
// nil for none.
func startLookUp[K, L, R, O any](k *Task, down *stream[K, O], r *rows, values codec.Codec[R], by Joiner[K, L, R, O], keyOf func(*item[K, L]) ([]byte, error)) step[K, L] {
	next := down.start(k)
	made, right := newItem[K, O](nil, down.value), newCell("row", values)
	return func(it *item[K, L]) error {
		if shown, err := it.look(k, down.node); !shown {
			return err
		}
		if it.value.missing {
			k.drop(NoValue)
			return nil
		}
		key, err := keyOf(it)
		if err != nil {
			return err
		}
		var data []byte
		if key != nil {
			if data, _, err = r.get(key); err != nil {
				return err
			}
		} else if by.kind == inner {
			k.drop(NoKey)
			return nil
		}
		if err := right.loadRow(k, down.node, data); err != nil {
			return err
		}
		if right.missing && by.kind == inner {
			return nil
		}
		follow(made, it)
		made.value.set(by.fn(it.key.v, it.value, right), nil)
		return next(made)
	}
}

// loadRow makes it hold a row's value, decoded, for a function of the step at.
func (x *cell[T]) loadRow(k *Task, at *node, data []byte) error {
	k.at, k.policy = at, k.policies.Process
	x.load(data)
	if err := x.decode(); err != nil {
		return k.refuse(at, k.policy, err)
	}
	return nil
}

// meet notes that the other side of a step is a zero value, or of another builder.
func (b *Builder) meet(n *node, other *Builder) {
	if other != b {
		b.wrong("%s: its sides are not of one builder: is one of them a zero value?", n.name)
	}
}

// sameKeys notes that the keys of two sides that are to meet are encoded
// differently, so that equal keys lie in different partitions. Faulty says that
// a mistake was reported already.
func (b *Builder) sameKeys(n, l *node, lkey any, r *node, rkey any, faulty bool) {
	switch {
	case faulty:
	case lkey == nil || rkey == nil:
		side := l
		if lkey != nil {
			side = r
		}
		b.wrong("%s: no codec for the keys of %s", n.name, side.name)
	case codecName(lkey) != codecName(rkey): // windowed ones are of one type whatever is within
		b.wrong("%s: keys of %s are encoded by %s, those of %s by %s: equal ones would not meet", n.name, l.name, codecName(lkey), r.name, codecName(rkey))
	}
}

// distinct are two nodes, or one that is both.
func distinct(x, y *node) []*node {
	if x == y {
		return []*node{x}
	}
	return []*node{x, y}
}
