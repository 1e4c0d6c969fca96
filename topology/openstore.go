package topology

import (
	"fmt"
	"iter"
	"reflect"

	"github.com/tidemark-dev/tidemark/codec"
)

// Open gives a step of your own the rows of a store, which has both codecs. It is
// called in setup. Steps that open one store share its rows, and run in one group.
//
// A store that a table declared before is kept in may be opened to read from it;
// its codecs need not be repeated. A Store with a TTL loses rows that were not
// written for so long; the step is not told.
func Open[K, V, K2, V2 any](c *Context[K2, V2], rows Store[K, V]) OpenStore[K, V] {
	s := &c.scope
	if !s.opening("Open") {
		return OpenStore[K, V]{s: s}
	}
	if s.k == nil {
		declareOpen(s.b, s.declared.at, rows)
		return OpenStore[K, V]{s: s}
	}
	kept := s.declared.kept(rows.Name)
	if kept == nil {
		s.mistake(fmt.Errorf("store %q was not opened when the step was declared", rows.Name))
		return OpenStore[K, V]{s: s}
	}
	s.k.expiry(s.declared.at, kept)
	return OpenStore[K, V]{s: s, rows: s.k.store(kept), of: kept.handle.(Store[K, V]), table: kept.table}
}

// declareOpen notes that a step opens a store.
func declareOpen[K, V any](b *Builder, n *node, rows Store[K, V]) {
	for _, s := range b.stores {
		if s.name != rows.Name || s.name == "" {
			continue
		}
		first, ok := s.handle.(Store[K, V])
		if ok {
			checkShared(b, n, s, rows, first)
		} else {
			b.wrong("store %q: %s opens it as %T, and %s as %T", rows.Name, n.name, rows, s.of, s.handle)
		}
		s.ordered = true
		n.stores = append(n.stores, s)
		return
	}
	s, rows := keep(b, n, "store", n.name, rows, nil, nil, false)
	s.table, s.ordered = false, true
	s.expires(rows.TTL)
}

// checkShared notes where two steps do not mean the same by one store.
func checkShared[K, V any](b *Builder, n *node, s *kept, rows, first Store[K, V]) {
	for _, c := range []struct {
		of           string
		named, first any
	}{{"keys", rows.Key, first.Key}, {"values", rows.Value, first.Value}} {
		if c.named != nil && reflect.TypeOf(c.named) != reflect.TypeOf(c.first) {
			b.wrong("store %q: %s opens it with %s in %T, and %s in %T", rows.Name, n.name, c.of, c.named, s.of, c.first)
		}
	}
	if rows.TTL != first.TTL || rows.EveryChange != first.EveryChange {
		b.wrong("store %q: %s opens it with another TTL or EveryChange than %s", rows.Name, n.name, s.of)
	}
}

// An OpenStore is one task's rows of a store, as a step of your own sees them:
// with all that this task has written. A row that cannot be read or written makes
// what is being processed fail when the step's function returns.
type OpenStore[K, V any] struct {
	s     *scope
	rows  *rows
	of    Store[K, V]
	table bool
}

// Get returns a row; without ok there is none.
func (o OpenStore[K, V]) Get(key K) (v V, ok bool) {
	o.do("Get", func(k *Task) error {
		data, err := o.encode(k, o.of.Key, key)
		if err != nil {
			return err
		}
		value, _, err := o.rows.get(data)
		if err != nil || value == nil {
			return err
		}
		v, err = o.decode(k, value)
		ok = err == nil
		return err
	})
	return v, ok
}

// Set writes a row, with the time of the record or timer. A nil value, if V can
// be, deletes it.
func (o OpenStore[K, V]) Set(key K, value V) {
	o.write("Set", key, func(k *Task) ([]byte, error) {
		if canBeNil[V]() && isNil(&value) {
			return nil, nil
		}
		data, err := encode(o.of.Value, value)
		if err != nil {
			return nil, o.refuse(k, "encode value", err)
		}
		return data, nil
	})
}

// Delete deletes a row.
func (o OpenStore[K, V]) Delete(key K) {
	o.write("Delete", key, func(*Task) ([]byte, error) { return nil, nil })
}

func (o OpenStore[K, V]) write(what string, key K, value func(*Task) ([]byte, error)) {
	o.do(what, func(k *Task) error {
		if o.table {
			return fmt.Errorf("%s: store %q: %s: a table is kept in it, whose rows only the table may write", o.s.declared.at.name, o.of.Name, what)
		}
		data, err := o.encode(k, o.of.Key, key)
		if err != nil {
			return err
		}
		v, err := value(k)
		if err != nil {
			return err
		}
		o.rows.put(data, v, o.s.time)
		return nil
	})
}

// All yields every row, in the order of the keys' bytes, as they are when it
// begins.
func (o OpenStore[K, V]) All() iter.Seq2[K, V] {
	return o.scan("All", func(*Task) (from, to []byte, err error) { return []byte{}, nil, nil })
}

// Range yields the rows from one key up to, not including, another, in the order
// of the keys' bytes, as they are when it begins.
func (o OpenStore[K, V]) Range(from, to K) iter.Seq2[K, V] {
	return o.scan("Range", func(k *Task) (first, end []byte, err error) {
		if first, err = o.encode(k, o.of.Key, from); err == nil {
			end, err = o.encode(k, o.of.Key, to)
		}
		return first, end, err
	})
}

func (o OpenStore[K, V]) scan(what string, between func(*Task) (from, to []byte, err error)) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		var first, end []byte
		o.do(what, func(k *Task) (err error) {
			first, end, err = between(k)
			return err
		})
		if o.rows == nil || o.s.err != nil {
			return
		}
		for row, err := range o.rows.scan(first, end) {
			var key K
			var v V
			o.do(what, func(k *Task) error {
				if err != nil {
					return err
				}
				if key, err = o.of.Key.Decode(row.Key); err != nil {
					return o.refuse(k, "decode key", err)
				}
				v, err = o.decode(k, row.Value)
				return err
			})
			if o.s.err != nil || !yield(key, v) {
				return
			}
		}
	}
}

// do runs what was asked of the store, which may be left over from a mistake.
func (o OpenStore[K, V]) do(what string, run func(*Task) error) {
	if o.s != nil {
		o.s.do(what+" of a store", func() error { return run(o.s.k) })
	}
}

func (o OpenStore[K, V]) encode(k *Task, c codec.Codec[K], key K) ([]byte, error) {
	data, err := encode(c, key)
	if err != nil {
		return nil, o.refuse(k, "encode key", err)
	}
	return data, nil
}

func (o OpenStore[K, V]) decode(k *Task, value []byte) (v V, err error) {
	if v, err = o.of.Value.Decode(value); err != nil {
		return v, o.refuse(k, "decode row", err)
	}
	return v, nil
}

func (o OpenStore[K, V]) refuse(k *Task, what string, err error) error {
	return k.refuse(o.s.declared.at, k.policies.Process, fmt.Errorf("store %q: %s: %w", o.of.Name, what, err))
}
