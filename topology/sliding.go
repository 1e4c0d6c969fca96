package topology

import (
	"bytes"

	"github.com/tidemark-dev/tidemark/topology/internal/wire"
)

// A slid is a sliding window that is kept.
type slid struct {
	start int64
	data  []byte
	time  int64 // of its newest record
}

// sliding folds a record into the sliding windows that it is in. Windows are kept
// where a record ends one, and one millisecond after each record that others
// follow: no other window holds a set of records of its own. A new window begins
// as a copy of its neighbour.
func (f *windowFolding[K, V, A]) sliding(it *item[K, V], closed int64) error {
	if it.time+1+f.size <= closed {
		f.k.drop(Late)
		return nil
	}
	s := slide[K, V, A]{windowFolding: f, it: it, closed: closed, previous: -1}
	if it.time < f.size {
		return s.early()
	}
	return s.usual()
}

// A slide is a record on its way into sliding windows.
type slide[K, V, A any] struct {
	*windowFolding[K, V, A]
	it     *item[K, V]
	closed int64

	found    []slid
	right    *slid // the latest one that the record is in, as it was: what comes after the record is in it
	hasRight bool  // there is a window that begins just after the record
	previous int64 // when the last record before it was; -1 if there is none near
}

// usual folds a record in, from the latest window to the earliest.
func (s *slide[K, V, A]) usual() error {
	t := s.it.time
	if err := s.find(max(0, t-2*s.size)); err != nil {
		return err
	}
	var left *slid // the latest one that ends before the record
	hasLeft := false
	for i := len(s.found) - 1; i >= 0 && left == nil; i-- {
		w := &s.found[i]
		switch end := w.start + s.size; {
		case w.start == t+1:
			s.hasRight = true
			continue
		case end > t && s.right == nil:
			s.right = w
		case end == t:
			hasLeft = true
			if w.time < t {
				s.previous = w.time
			}
		case end < t: // a late record may be in a window that ends later only
			left, s.previous = w, max(s.previous, w.time)
			continue
		}
		if err := s.into(w.start, w.data, w.data, w.time); err != nil {
			return err
		}
		if w.start+s.size == t && w.time >= t {
			return nil // a record of the same time has made all windows
		}
	}
	if s.previous >= 0 && s.previous+1+s.size >= t {
		if err := s.afterPrevious(); err != nil {
			return err
		}
	}
	if !hasLeft {
		var data []byte
		if s.previous >= t-s.size {
			data = left.data
		}
		if err := s.into(t-s.size, data, nil, t); err != nil {
			return err
		}
	}
	return s.afterRecord()
}

// early folds a record in that is less than a size from 1970. No window begins
// before, so all such records are in the first one.
func (s *slide[K, V, A]) early() error {
	t := s.it.time
	if err := s.find(0); err != nil {
		return err
	}
	all := slid{time: t}
	for i := range s.found {
		w := &s.found[i]
		switch w.start {
		case 0:
			all = *w
			if w.time < t {
				s.previous = w.time
			}
		case t + 1:
			s.hasRight = true
		default:
			s.right = w
			if err := s.into(w.start, w.data, w.data, w.time); err != nil {
				return err
			}
		}
	}
	if s.right == nil && all.data != nil {
		s.right = &all
	}
	if err := s.afterRecord(); err != nil {
		return err
	}
	if s.previous >= 0 {
		if err := s.afterPrevious(); err != nil {
			return err
		}
	}
	return s.into(0, all.data, all.data, all.time)
}

// find reads the windows of the record's key that begin from some time until
// just after the record.
func (s *slide[K, V, A]) find(from int64) error {
	prefix := wire.WindowPrefix(s.it.key.data)
	for row, err := range s.rows.scan(wire.WindowStart(prefix, from), wire.WindowStart(prefix, s.it.time+2)) {
		if err != nil {
			return err
		}
		start, _ := wire.WindowOf(row.Key)
		s.found = append(s.found, slid{start, bytes.Clone(row.Value), row.Time})
	}
	return nil
}

// into folds the record into a window that begins as data, and was old.
func (s *slide[K, V, A]) into(start int64, data, old []byte, time int64) error {
	if start+s.size < s.closed {
		s.k.drop(Late)
		return nil
	}
	key, err := s.keyWithin(s.it, start, start+s.size)
	if err != nil {
		return err
	}
	s.was(old)
	if err := s.load(s.kept, data); err != nil {
		return err
	}
	return s.fold(s.it, key, max(time, s.it.time))
}

// afterPrevious makes the window that begins just after the last record before
// this one, if there is none yet. This record is the first in it.
func (s *slide[K, V, A]) afterPrevious() error {
	start := s.previous + 1
	for i := range s.found {
		if s.found[i].start == start {
			return nil
		}
	}
	return s.into(start, nil, nil, s.it.time)
}

// afterRecord makes the window that begins just after the record, if something
// is in it and it is not there yet.
func (s *slide[K, V, A]) afterRecord() error {
	if s.hasRight || s.right == nil || s.right.time <= s.it.time {
		return nil
	}
	start := s.it.time + 1
	key, err := s.keyWithin(s.it, start, start+s.size)
	if err != nil {
		return err
	}
	s.was(nil)
	s.row.load(s.right.data)
	return s.put(key, s.row, s.right.time, s.it.headers)
}
