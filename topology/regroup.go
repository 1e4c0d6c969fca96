package topology

import (
	"bytes"
	"cmp"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
)

// Regroup files the rows of a table under other keys, through a topic of its
// own. A group sees a row come (Old is nil), go (New is nil), and change within it
// (both): that is what Count and Aggregate fold, in place of an adder and a
// subtractor. A row that changes its group goes from the old one before it comes to
// the new one. A row for which fn returns a nil key or value is in no group. Fn is
// asked again for what a row was: it must give the same answer.
//
// The topic's records hold both sides; its codec is that of one. The processor
// creates it as that of a [Repartition].
func Regroup[K, V, K2, V2 any](t Table[K, V], through Topic[K2, V2], fn func(K, V) (K2, V2)) Stream[K2, Change[V2]] {
	b, up := t.upstream()
	up.needsOld = true
	keys, _ := any(up.key).(codec.Codec[K2])
	values, _ := any(up.value).(codec.Codec[V2])
	through = through.orCodecs(keys, values)
	down := &stream[K2, Change[V2]]{
		node: b.add(b.number("regroup"), up.node), key: through.Key, rekeyed: true,
		faulty: up.faulty,
	}
	b.needs(down.node, fn == nil)
	if !up.faulty && through.Value == nil { // it would not be missed: changes have one
		b.wrong("topic %q: no codec for its values of type %s", through.Name, typeName[V2]())
	}
	down.value = changeCodec[V2]{through.Value}
	if through.Key != nil {
		up.feed(down.node, func(k *Task) step[K, V] { return startRegroup(k, down, fn) })
	}
	return Repartition(Stream[K2, Change[V2]]{b, down}, ofChanges(through, down.value))
}

// ofChanges returns a topic with changes of its values.
func ofChanges[K, V any](t Topic[K, V], c codec.Codec[Change[V]]) Topic[K, Change[V]] {
	changes := Topic[K, Change[V]]{Name: t.Name, Key: t.Key, Value: c, MaxAhead: t.MaxAhead, Partitions: t.Partitions, Policies: t.Policies}
	if t.Time != nil {
		changes.Time = func(r Record[K, Change[V]]) time.Time {
			side := cmp.Or(r.Value.New, r.Value.Old)
			if canBeNil[V]() && isNil(side) {
				return time.Time{}
			}
			return t.Time(Record[K, V]{Key: r.Key, Value: *side, Time: r.Time, Headers: r.Headers, Position: r.Position})
		}
	}
	return changes
}

func startRegroup[K, V, K2, V2 any](k *Task, down *stream[K2, Change[V2]], fn func(K, V) (K2, V2)) step[K, V] {
	next := down.start(k)
	was, is := &member[K2, V2]{key: newCell("key", down.key)}, &member[K2, V2]{key: newCell("key", down.key)}
	made := newItem(down.key, down.value)
	return func(it *item[K, V]) error {
		c, err := it.change(k, down.node)
		if err != nil {
			return err
		}
		made.time, made.headers = it.time, it.headers
		pass := func(key *cell[K2], c Change[V2]) error {
			made.key = key
			made.value.set(c, nil)
			return next(made)
		}
		if err := group(k, down.node, was, it.key.v, c.Old, fn); err != nil {
			return err
		}
		if err := group(k, down.node, is, it.key.v, c.New, fn); err != nil {
			return err
		}
		if was.value != nil && is.value != nil && bytes.Equal(was.key.data, is.key.data) {
			return pass(is.key, Change[V2]{Old: was.value, New: is.value})
		}
		if was.value != nil {
			if err := pass(was.key, Change[V2]{Old: was.value}); err != nil {
				return err
			}
		}
		if is.value != nil {
			return pass(is.key, Change[V2]{New: is.value})
		}
		return nil
	}
}

// A member is a row in its group.
type member[K, V any] struct {
	key   *cell[K]
	value *V // nil if it is in none
}

// group asks fn for the group of a row, which may be missing.
func group[K, V, K2, V2 any](k *Task, at *node, m *member[K2, V2], key K, row *V, fn func(K, V) (K2, V2)) error {
	m.value = nil
	if row == nil {
		return nil
	}
	k.at, k.policy = at, k.policies.Process
	k2, v2 := fn(key, *row)
	if m.key.set(k2, nil); m.key.missing || canBeNil[V2]() && isNil(&v2) {
		return nil
	}
	m.value = &v2
	_, err := m.key.encoded(k, at, m.key.codec, true)
	return err
}
