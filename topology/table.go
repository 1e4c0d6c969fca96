package topology

import (
	"bytes"
	"reflect"

	"github.com/tidemark-dev/tidemark/codec"
)

// A Table holds the newest value of every key, partition by partition. A value
// that is nil, if V can be, deletes its row.
type Table[K, V any] struct {
	b    *Builder
	s    *stream[K, V] // its changes
	rows *kept
}

func (t Table[K, V]) upstream() (*Builder, *stream[K, V]) {
	if t.s == nil {
		return nil, placeholder[K, V]()
	}
	return t.b, t.s
}

// Materialize keeps the newest value of every key of a topic. A tombstone
// deletes its row; a record without a key is dropped and counted.
func Materialize[K, V any](b *Builder, from Topic[K, V], rows Store[K, V]) Table[K, V] {
	return ToTable(Consume(b, from), rows)
}

// ToTable keeps the newest value of every key of a stream: the one that comes
// last, whatever its time is. A tombstone deletes its row; a record without a key
// is dropped and counted.
func ToTable[K, V any](s Stream[K, V], rows Store[K, V]) Table[K, V] {
	b, up := s.upstream()
	table, down, rows := tableOf(b, up, "table", rows, up.value)
	if up.windows.isOpen() {
		b.wrong("%s: its records are in windows: Count, Reduce or Aggregate them", down.name)
	}
	same := sameCodec(up.value, rows.Value)
	up.feed(down.node, func(k *Task) step[K, V] {
		put := startTable(k, down, table)
		return func(it *item[K, V]) error {
			if filed, err := it.file(k, down.node, rows.Key); !filed {
				return err
			}
			data, err := it.value.encoded(k, down.node, rows.Value, same)
			if err != nil {
				return err
			}
			return put(it, data, same)
		}
	})
	return Table[K, V]{b, down, table}
}

// tableOf makes the node of a table downstream of a stream.
func tableOf[K, V, A any](b *Builder, up *stream[K, V], verb string, rows Store[K, A], value codec.Codec[A]) (*kept, *stream[K, A], Store[K, A]) {
	down := &stream[K, A]{node: b.add(verb+" "+rows.Name, up.node), windows: up.windows, faulty: up.faulty}
	b.keyed(down.node, up.rekeyed)
	table, rows := keep(b, down.node, verb, up.name, rows, up.key, value, up.faulty)
	switch w := up.windows; {
	case w == nil:
		table.expires(rows.TTL)
	case !w.open:
		table.expiresLike(w, rows.TTL)
	}
	down.key, down.value = rows.Key, rows.Value
	return table, down, rows
}

// startTable returns what writes a row of a table, from an item that was filed
// and the encoded value, and passes the change on. Same says that the item's
// value has the codec of the table.
func startTable[K, A any](k *Task, down *stream[K, A], table *kept) func(it *item[K, A], data []byte, same bool) error {
	startExpiry(k, down, table)
	next, r := down.start(k), k.store(table)
	change := newItem(down.key, down.value)
	if down.needsOld {
		change.old = newCell("row", down.value)
	}
	return func(it *item[K, A], data []byte, same bool) error {
		if change.old != nil {
			old, _, err := r.get(it.key.data)
			if err != nil {
				return err
			}
			change.old.load(bytes.Clone(old))
		}
		r.put(it.key.data, data, it.time)
		follow(change, it)
		switch {
		case same:
			change.value = it.value
		case it.value.missing:
			change.value.load(nil)
		default:
			change.value.set(it.value.v, data)
		}
		return next(change)
	}
}

// NewValues gives the values that rows of a table come to have, as records. Of a row
// that is deleted there is none: see [ToStream].
func NewValues[K, V any](t Table[K, V]) Stream[K, V] {
	b, up := t.upstream()
	down := below[K, V, V](b, up, b.number("new values"))
	up.feed(down.node, func(k *Task) step[K, V] {
		next := down.start(k)
		made := &item[K, V]{}
		return func(it *item[K, V]) error {
			if it.value.nillable { // it may turn out to be nil
				if shown, err := it.look(k, down.node); !shown {
					return err
				}
			}
			if it.value.missing {
				return nil
			}
			follow(made, it) // but for the old value
			made.value = it.value
			return next(made)
		}
	})
	return Stream[K, V]{b, down}
}

// ToStream gives the changes of a table as records: what the row was, and what
// it is now, which is nil for a row that is deleted. See [NewValues].
func ToStream[K, V any](t Table[K, V]) Stream[K, Change[V]] {
	b, up := t.upstream()
	up.needsOld = true
	down := below[K, V, Change[V]](b, up, b.number("to stream"))
	up.feed(down.node, func(k *Task) step[K, V] {
		next := down.start(k)
		made := newItem[K, Change[V]](nil, down.value)
		return func(it *item[K, V]) error {
			change, err := it.change(k, down.node)
			if err != nil {
				return err
			}
			follow(made, it)
			made.value.set(change, nil)
			return next(made)
		}
	})
	return Stream[K, Change[V]]{b, down}
}

// change decodes a change of a table whose stream needsOld.
func (it *item[K, V]) change(k *Task, at *node) (c Change[V], err error) {
	k.at, k.policy = at, k.policies.Process
	for _, x := range []*cell[V]{it.value, it.old} {
		if err := x.decode(); err != nil {
			return c, k.refuse(at, k.policy, err)
		}
	}
	if err := it.key.decode(); err != nil {
		return c, k.refuse(at, k.policy, err)
	}
	return Change[V]{Old: it.old.pointer(), New: it.value.pointer()}, nil
}

// Sync copies every change of a table to a sink, exactly once. A table may
// have several sinks; none of them slows the table down.
func Sync[K, V any](t Table[K, V], to Sink) {
	t.b.given()
	if v := reflect.ValueOf(to); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		t.b.wrong("store %q: a sink of its table is nil", t.rows.name)
		return
	}
	if v, ok := to.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			t.b.wrong("store %q: sink %s: %w", t.rows.name, to, err)
		}
	}
	for _, other := range t.rows.sinks {
		if other.String() == to.String() {
			t.b.wrong("store %q: two sinks of its table are %s, and would take the target from each other", t.rows.name, to)
		}
	}
	t.rows.sinks = append(t.rows.sinks, to)
}
