package processor

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/tidemark-dev/tidemark/topology"
)

// A View reads the committed rows of a store, on whichever instance they are.
// A row of another instance is asked for over HTTP, at the address that it
// advertises. A View is safe for concurrent use.
type View[K, V any] struct {
	rows cluster
	of   func() (topology.Store[K, V], error)
}

// Query returns a view of one of the topology's stores. That the topology has
// it, with these types, is found out by the first read.
func Query[K, V any](p *Processor, of topology.Store[K, V]) View[K, V] {
	return newView(cluster{served{p}, p.topology}, of)
}

func newView[K, V any](rows cluster, of topology.Store[K, V]) View[K, V] {
	return View[K, V]{
		rows: rows,
		of:   sync.OnceValues(func() (topology.Store[K, V], error) { return of.In(rows.topology) }),
	}
}

// Get returns a row; without ok there is none. What is not known is an error:
// ErrRestoring or an *ElsewhereError. The position is the offset of the
// changelog up to which the answer is current, also if there is no row.
func (v View[K, V]) Get(ctx context.Context, key K) (r topology.Record[K, V], ok bool, err error) {
	store, err := v.of()
	if err != nil {
		return r, false, err
	}
	bytes, err := encodeKey(store, key)
	if err != nil {
		return r, false, err
	}
	raw, err := v.rows.get(ctx, store.Name, bytes)
	if err != nil {
		return r, false, err
	}
	raw.Key = bytes
	row, err := decodeRow(store, raw)
	if err != nil {
		return r, false, err
	}
	return plain(row), row.Value != nil, nil
}

// All yields every row, in no order across partitions. An error ends it.
func (v View[K, V]) All(ctx context.Context) iter.Seq2[topology.Record[K, V], error] {
	return func(yield func(topology.Record[K, V], error) bool) {
		store, err := v.of()
		if err != nil {
			yield(topology.Record[K, V]{}, err)
			return
		}
		for raw, err := range v.rows.all(ctx, store.Name, nil, nil) {
			if row, err := decodeNext(store, raw, err); !yield(plain(row), err) || err != nil {
				return
			}
		}
	}
}

// Range yields the rows from one key up to, not including, another, as their
// bytes compare, in no order across partitions. An error ends it.
func (v View[K, V]) Range(ctx context.Context, from, to K) iter.Seq2[topology.Record[K, V], error] {
	return func(yield func(topology.Record[K, V], error) bool) {
		store, err := v.of()
		if err != nil {
			yield(topology.Record[K, V]{}, err)
			return
		}
		first, err := encodeKey(store, from)
		if err != nil {
			yield(topology.Record[K, V]{}, err)
			return
		}
		end, err := encodeKey(store, to)
		if err != nil {
			yield(topology.Record[K, V]{}, err)
			return
		}
		for raw, err := range v.rows.all(ctx, store.Name, first, end) {
			if row, err := decodeNext(store, raw, err); !yield(plain(row), err) || err != nil {
				return
			}
		}
	}
}

// Watch yields every row and then every change as it is committed, until ctx is
// done or an error ends it: a partition that moves to another instance is one. A
// nil Value is a deleted row.
func (v View[K, V]) Watch(ctx context.Context) iter.Seq2[topology.Record[K, *V], error] {
	return func(yield func(topology.Record[K, *V], error) bool) {
		store, err := v.of()
		if err != nil {
			yield(topology.Record[K, *V]{}, err)
			return
		}
		for raw, err := range v.rows.watch(ctx, store.Name) {
			if row, err := decodeNext(store, raw, err); !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// encodeKey returns the key's bytes, which are never nil: a nil end of a range
// would be none.
func encodeKey[K, V any](s topology.Store[K, V], key K) ([]byte, error) {
	bytes, err := s.Key.Encode(key)
	if err != nil {
		return nil, fmt.Errorf("store %q: encode key: %w", s.Name, err)
	}
	if bytes == nil {
		bytes = []byte{}
	}
	return bytes, nil
}

// decodeNext decodes what an iterator yielded, if it was a row.
func decodeNext[K, V any](s topology.Store[K, V], raw topology.Raw, err error) (topology.Record[K, *V], error) {
	if err != nil {
		return topology.Record[K, *V]{}, err
	}
	return decodeRow(s, raw)
}

func decodeRow[K, V any](s topology.Store[K, V], raw topology.Raw) (topology.Record[K, *V], error) {
	row := topology.Record[K, *V]{Time: raw.Time, Headers: raw.Headers, Position: raw.Position}
	var err error
	if row.Key, err = s.Key.Decode(raw.Key); err != nil {
		return row, fmt.Errorf("store %q: row %q of partition %d: decode key: %w", s.Name, raw.Key, raw.Partition, err)
	}
	if raw.Value == nil {
		return row, nil
	}
	value, err := s.Value.Decode(raw.Value)
	if err != nil {
		return row, fmt.Errorf("store %q: row %q of partition %d: decode value: %w", s.Name, raw.Key, raw.Partition, err)
	}
	row.Value = &value
	return row, nil
}

// plain is a row without the pointer.
func plain[K, V any](row topology.Record[K, *V]) topology.Record[K, V] {
	r := topology.Record[K, V]{Key: row.Key, Time: row.Time, Headers: row.Headers, Position: row.Position}
	if row.Value != nil {
		r.Value = *row.Value
	}
	return r
}
