package store

import (
	"errors"
	"iter"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// A Snapshot is a table as it was at one changelog position. It must be
// released. When the store is closed it ends with ErrClosed.
type Snapshot struct {
	Position int64
	Note     string // see Store.Note
	store    *Store
	snap     *leveldb.Snapshot
}

// Snapshot returns the table as of a position that was committed when it was
// called, or a later one.
func (s *Store) Snapshot() (*Snapshot, error) {
	if err := s.wait(); err != nil {
		return nil, err
	}
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return nil, ErrClosed
	}
	snap, err := s.db.GetSnapshot()
	if err != nil {
		return nil, s.fault(err)
	}
	origin, err := s.origin(snap)
	if err != nil {
		snap.Release()
		return nil, s.fault(err)
	}
	return &Snapshot{Position: origin.Position, Note: origin.Note, store: s, snap: snap}, nil
}

// Release lets LevelDB forget the snapshot.
func (v *Snapshot) Release() { v.snap.Release() }

// Has tells whether there is a row.
func (v *Snapshot) Has(key []byte) (bool, error) {
	v.store.life.RLock()
	defer v.store.life.RUnlock()
	if v.store.closed {
		return false, ErrClosed
	}
	_, err := v.snap.Get(rowKey(nil, key), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return false, nil
	}
	return err == nil, v.store.fault(err)
}

// A reader takes pages of so many rows, or of so many bytes: one that is slow
// does not keep the store from being closed, and one of large rows holds few.
const (
	pageRows  = 256
	pageBytes = 256 << 10
)

// Rows yields the rows with from <= key < to, in order; a nil to has no end.
// Key and Value are the caller's.
func (v *Snapshot) Rows(from, to []byte) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		r := util.BytesPrefix([]byte{rowSpace})
		r.Start = rowKey(nil, from)
		if to != nil {
			r.Limit = rowKey(nil, to)
		}
		for {
			rows, more, err := v.read(r)
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
			if err != nil {
				yield(Row{}, err)
			}
			if err != nil || !more {
				return
			}
			last := rows[len(rows)-1].Key
			r.Start = append(rowKey(nil, last), 0) // the next possible key
		}
	}
}

// read returns the next page, and whether it has an end before that of the range.
func (v *Snapshot) read(r *util.Range) (rows []Row, more bool, err error) {
	v.store.life.RLock()
	defer v.store.life.RUnlock()
	if v.store.closed {
		return nil, false, ErrClosed
	}
	it := v.snap.NewIterator(r, nil)
	defer it.Release()
	for size := 0; it.Next(); {
		value, time, err := v.store.decode(append([]byte{}, it.Value()...), nil)
		if err != nil {
			return rows, false, err
		}
		rows = append(rows, Row{Key: append([]byte{}, it.Key()[1:]...), Value: value, Time: time})
		if size += len(it.Key()) + len(value); len(rows) == pageRows || size >= pageBytes {
			return rows, true, nil
		}
	}
	return rows, false, v.store.fault(it.Error())
}
