package topology

import (
	"reflect"

	"github.com/tidemark-dev/tidemark/codec"
)

// A Table holds the newest value of every key, partition by partition. A value
// that is nil, if V can be, deletes its row.
type Table[K, V any] struct {
	b *Builder
	s *stream[K, V] // its changes
	t *table
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

// ToTable keeps the newest value of every key of a stream. A tombstone deletes
// its row; a record without a key is dropped and counted.
func ToTable[K, V any](s Stream[K, V], rows Store[K, V]) Table[K, V] {
	b, up := s.upstream()
	t, down, rows := keep(b, up, "table", rows, up.value)
	same := sameCodec(up.value, rows.Value)
	up.feed(down.node, func(k *Task) step[K, V] {
		next := down.start(k)
		change := newItem[K, V](nil, rows.Value)
		return func(it *item[K, V]) error {
			if filed, err := it.file(k, down.node); !filed {
				return err
			}
			data, err := it.encoded(k, down.node, rows.Value, same)
			if err != nil {
				return err
			}
			k.write(it.key.data, data)
			if same {
				return next(it)
			}
			change.key = it.key
			if change.resetData(data); !it.missing {
				change.resetValue(it.value, data)
			}
			return next(change)
		}
	})
	return Table[K, V]{b, down, t}
}

// keep makes the node of a table, which holds values of type A, and returns the
// store with its codecs.
func keep[K, V, A any](b *Builder, up *stream[K, V], verb string, rows Store[K, A], values codec.Codec[A]) (*table, *stream[K, A], Store[K, A]) {
	down := &stream[K, A]{node: b.add(verb+" "+rows.Name, up.node), faulty: up.faulty}
	t := &table{node: down.node, store: rows.Name, everyChange: rows.EveryChange}
	if b == nil {
		return t, down, rows
	}
	if err := checkName("store", rows.Name); err != nil {
		b.wrong("%s of %s: %w", verb, up.name, err)
	}
	for _, other := range b.tables {
		if other.store == rows.Name && rows.Name != "" {
			b.wrong("store %q: two tables are kept in it, of %s and of %s", rows.Name, other.up.name, up.name)
		}
	}
	b.tables = append(b.tables, t)
	if rows.Key == nil {
		rows.Key = up.key
	}
	if rows.Value == nil {
		rows.Value = values
	}
	switch {
	case up.faulty:
	case rows.Key == nil:
		b.wrong("store %q: no codec for its keys of type %s", rows.Name, typeName[K]())
	case up.key != nil && reflect.TypeOf(rows.Key) != reflect.TypeOf(up.key):
		// A view looks for a row in the partition of its key's bytes.
		b.wrong("store %q: its keys are encoded by %T, those of %s by %T: rows would be looked for in other partitions", rows.Name, rows.Key, up.name, up.key)
	}
	if rows.Value == nil && !up.faulty {
		b.wrong("store %q: no codec for its values of type %s", rows.Name, typeName[A]())
	}
	down.key, down.value = rows.Key, rows.Value
	t.texts, t.handle = newTexts(rows.Key, rows.Value), rows
	return t, down, rows
}

// write adds a write of a row; nil data deletes it.
func (k *Task) write(key, data []byte) {
	k.writes.Rows = append(k.writes.Rows, Raw{Key: key, Value: data, Time: k.record.Time})
}

// Sync copies every change of a table to a sink, exactly once. A table may
// have several sinks; none of them slows the table down.
func Sync[K, V any](t Table[K, V], to Sink) {
	if t.t == nil {
		return
	}
	if v := reflect.ValueOf(to); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		t.b.wrong("store %q: a sink of its table is nil", t.t.store)
		return
	}
	if v, ok := to.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			t.b.wrong("store %q: sink %s: %w", t.t.store, to, err)
		}
	}
	t.t.sinks = append(t.t.sinks, to)
}
