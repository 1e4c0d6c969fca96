package store

import (
	"bytes"
	"errors"
	"iter"
	"math"

	"github.com/syndtr/goleveldb/leveldb/util"
)

const never = math.MaxInt64 // the deadline of a row that is never due

// Due yields the rows that have a deadline, in the order of deadlines and then
// of keys, as the open transaction sees them. The caller breaks off at the first
// row that is not due yet: to learn that there is none costs no read, so that it
// can be asked for each record. The store must have a Deadline. What Scan says of
// its rows and its loop is true here too.
func (s *Store) Due() iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if s.options.Deadline == nil {
			yield(Row{}, errors.New("the table has no deadlines"))
			return
		}
		v := s.view()
		defer s.leave(v)
		v.newest = overlaySource{overlay: s.open, index: s.open.due}
		v.due = dueSource{store: s, view: v, leading: true}
		v.sources = append(v.sources[:0], &v.newest, &v.due)
		if v.over != nil {
			v.newer = overlaySource{overlay: v.over, index: v.over.due, above: s.open}
			v.sources = append(v.sources, &v.newer)
		}
		v.merge(entry{deadline: math.MinInt64}, nil, yield)
	}
}

// A dueRow is an entry of LevelDB's index, and its row.
type dueRow struct {
	entry
	end  bool // there is none any more
	row  Row
	read bool // row is that of the entry
}

// A dueSource has the rows of LevelDB in the order of deadlines.
type dueSource struct {
	store   *Store
	view    *view
	at      *dueRow
	there   bool // the iterator is where at is
	leading bool // no row was found yet: at is the view's head
	passed  bool // at is done with
}

func (d *dueSource) next(entry, bool) (entry, bool, error) {
	switch {
	case d.at == nil && d.view.head != nil:
		d.at = d.view.head
	case d.at == nil:
		d.view.it.Seek(d.store.floor)
		if err := d.read(); err != nil {
			return entry{}, false, err
		}
	case d.passed:
		if !d.there {
			d.view.it.Seek(dueKey(nil, d.at.entry))
		}
		d.view.it.Next()
		if err := d.read(); err != nil {
			return entry{}, false, err
		}
	}
	return d.at.entry, !d.at.end, nil
}

func (d *dueSource) pass() { d.passed = true }

// read takes the entry at which the iterator is.
func (d *dueSource) read() error {
	d.there, d.passed = true, false
	at := &dueRow{end: true}
	if !d.view.it.Valid() {
		if err := d.view.it.Error(); err != nil {
			return d.store.fault(err)
		}
	} else if e, ok := dueEntry(d.view.it.Key()); ok {
		at = &dueRow{entry: entry{e.deadline, bytes.Clone(e.key)}}
	}
	d.at = at
	if d.leading {
		d.view.head = at
		d.store.raise(at, d.view.over)
	}
	return nil
}

func (d *dueSource) row() (r Row, there bool, err error) {
	s, at := d.store, d.at
	if s.open.get(at.key) != nil || d.view.over.get(at.key) != nil {
		return r, false, nil
	}
	if !at.read {
		b, _, err := s.committed(at.key, nil)
		at.row.Key = at.key
		if at.row.Value, at.row.Time, err = s.decode(b, err); err != nil {
			return r, false, err
		}
		if at.row.Value == nil || s.options.Deadline(at.key, at.row.Value, at.row.Time) != at.deadline {
			s.stale[string(dueKey(nil, at.entry))] = struct{}{}
			return r, false, nil
		}
		at.read = true
		s.note(at.key, at.deadline)
	}
	d.leading = false
	return at.row, true, nil
}

// raise sets the floor to the first entry that Due may yield. An overlay that is
// being saved hides what will be its own.
func (s *Store) raise(first *dueRow, over *overlay) {
	s.floor = []byte{dueSpace + 1}
	if !first.end {
		s.floor = dueKey(nil, first.entry)
	}
	if over != nil {
		s.lower(over.due)
	}
}

// lower sets the floor to the first entry of an overlay, if that is lower.
func (s *Store) lower(due *index) {
	first, ok := due.first()
	if !ok {
		return
	}
	if key := dueKey(nil, first); bytes.Compare(key, s.floor) < 0 {
		s.floor = key
	}
}

// reschedule adds to the batch what moves a row's deadline.
func (s *Store) reschedule(o *overlay, key []byte, next int64) error {
	old, err := s.scheduled(o, key, next)
	if err != nil || old == next {
		return err
	}
	if old != never {
		s.key = dueKey(s.key[:0], entry{old, key})
		s.batch.Delete(s.key)
	}
	if next != never {
		s.key = dueKey(s.key[:0], entry{next, key})
		s.batch.Put(s.key, nil)
	}
	return nil
}

// scheduled returns what deadline a row has in LevelDB before it has the next
// one, and reads it there if nobody has: an entry left behind would stay until it
// is due, and there may be one for each change.
func (s *Store) scheduled(o *overlay, key []byte, next int64) (int64, error) {
	if deadline, known := o.was[string(key)]; known {
		return deadline, nil
	}
	b, known := s.cache[string(key)] // only this goroutine writes it
	switch {
	case known:
	case s.options.DeadlineByKey && next == never:
		return s.options.Deadline(key, nil, 0), nil // which may not be there
	case s.options.DeadlineByKey:
		return never, nil // it may be there, and is put again
	default:
		s.key = rowKey(s.key[:0], key)
		var err error
		if b, err = s.stored(s.key); err != nil {
			return never, err
		}
		if b != nil {
			s.asked.Store(true)
		}
	}
	value, time, err := s.decode(b, nil)
	return s.options.deadline(key, value, time), err
}

// note notes what deadline a row was found to have in LevelDB, for scheduled.
func (s *Store) note(key []byte, deadline int64) {
	if !s.options.DeadlineByKey {
		s.open.note(key, deadline)
	}
}

// deadline is never for a row that is deleted.
func (o *Options) deadline(key, value []byte, time int64) int64 {
	if value == nil {
		return never
	}
	return o.Deadline(key, value, time)
}

// reindex makes the index anew if it is not that of the store's Deadline. What
// says whose it is goes first and comes last: a crash between repeats it.
func (s *Store) reindex() error {
	was, err := s.stored(indexedKey)
	if err != nil {
		return err
	}
	deadline := s.options.Deadline
	if indexed := was != nil; indexed == (deadline != nil) && (!indexed || string(was) == s.options.DeadlineName) {
		return nil
	}
	s.batch.Reset()
	s.batch.Delete(indexedKey)
	err = s.each(dueSpace, func(key, _ []byte) error {
		s.batch.Delete(key)
		return nil
	})
	if err != nil || deadline == nil {
		return err
	}
	err = s.each(rowSpace, func(key, b []byte) error {
		value, time, err := decode(b, nil)
		if err != nil {
			return err
		}
		if at := deadline(key[1:], value, time); at != never {
			s.batch.Put(dueKey(nil, entry{at, key[1:]}), nil)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.db.Put(indexedKey, []byte(s.options.DeadlineName), nil)
}

// each calls do, which adds to the batch, with all that is in a key space, and
// writes the batch whenever it is large, and at the end.
func (s *Store) each(space byte, do func(key, value []byte) error) error {
	it := s.db.NewIterator(util.BytesPrefix([]byte{space}), nil)
	defer it.Release()
	for it.Next() {
		if err := do(it.Key(), it.Value()); err != nil {
			return err
		}
		if s.batch.Len() >= 10_000 {
			if err := s.db.Write(&s.batch, nil); err != nil {
				return err
			}
			s.batch.Reset()
		}
	}
	if err := it.Error(); err != nil {
		return err
	}
	err := s.db.Write(&s.batch, nil)
	s.batch.Reset()
	return err
}
