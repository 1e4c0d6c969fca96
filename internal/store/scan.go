package store

import (
	"bytes"
	"errors"
	"iter"

	"github.com/syndtr/goleveldb/leveldb/iterator"
)

// A view is LevelDB and the overlay above it that it may not have yet. Making an
// iterator costs as much as several scans, so that the next one uses it again.
type view struct {
	it    iterator.Iterator // of everything
	over  *overlay          // nil if LevelDB has all that is committed
	round int
	head  *dueRow // the first in LevelDB that Due may yield; nil if it has not been looked for

	// Memory of merge and what it reads, to be used again.
	newest, newer overlaySource
	rows          rowSource
	due           dueSource
	sources       []source
	place         []byte
}

// view returns what is below the open transaction. It goes to leave when the
// caller is done.
func (s *Store) view() *view {
	s.mu.RLock()
	saving := s.saving // before the iterator: saved meanwhile, it is in both
	s.mu.RUnlock()
	v := s.below
	s.below = nil
	if v != nil && v.over == saving {
		return v
	}
	if v != nil {
		v.it.Release()
	}
	return &view{it: s.db.NewIterator(nil, nil), over: saving, round: s.round}
}

// leave keeps a view for the next call, if there is none and it is not over.
func (s *Store) leave(v *view) {
	if s.below != nil || v.round != s.round {
		v.it.Release()
		return
	}
	s.below = v
}

// renew ends all views.
func (s *Store) renew() {
	s.round++
	if s.below != nil {
		s.below.it.Release()
		s.below = nil
	}
}

// Scan yields the rows with from <= key < to, in the order of keys, as the open
// transaction sees them; a nil to has no end. The store must be Ordered. Key and
// Value are valid until the next step or a Put of the row. The loop may read and
// put rows, and each step is to the next row as they are then. It must not commit
// or discard.
func (s *Store) Scan(from, to []byte) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if !s.options.Ordered {
			yield(Row{}, errors.New("the table is not kept in order"))
			return
		}
		v := s.view()
		defer s.leave(v)
		v.place = rowKey(v.place[:0], from)
		v.it.Seek(v.place)
		v.newest = overlaySource{overlay: s.open, index: s.open.keys}
		v.rows = rowSource{store: s, view: v}
		v.sources = append(v.sources[:0], &v.newest, &v.rows)
		if v.over != nil {
			v.newer = overlaySource{overlay: v.over, index: v.over.keys, above: s.open}
			v.sources = append(v.sources, &v.newer)
		}
		v.merge(entry{key: from}, to, yield)
	}
}

// A source has rows in an order.
type source interface {
	// next returns the entry that is next, which may have changed since the last
	// call: it is the first from a place on if found, and the first after it if
	// that was passed.
	next(place entry, passed bool) (e entry, ok bool, err error)
	// row returns the row of the entry that is next. It is not there if it is
	// deleted, or a newer source has the key.
	row() (r Row, there bool, err error)
	// pass goes on to the entry after it.
	pass()
}

// merge yields the rows of the view's sources in order, from one entry on and up
// to a key; a nil key has no end.
func (v *view) merge(from entry, to []byte, yield func(Row, error) bool) {
	place, passed := from, false
	for {
		var first source
		var least entry
		for _, s := range v.sources {
			e, ok, err := s.next(place, passed)
			if err != nil {
				yield(Row{}, err)
				return
			}
			if ok && (first == nil || e.compare(least) < 0) {
				first, least = s, e
			}
		}
		if first == nil || to != nil && bytes.Compare(least.key, to) >= 0 {
			return
		}
		v.place = append(v.place[:0], least.key...)
		place, passed = entry{least.deadline, v.place}, true
		r, there, err := first.row()
		if err != nil {
			yield(Row{}, err)
			return
		}
		if there && !yield(r, nil) {
			return
		}
		first.pass()
	}
}

// An overlaySource has the rows of an overlay, in the order of one of its
// indexes.
type overlaySource struct {
	overlay *overlay
	index   *index
	above   *overlay // hides rows; nil for the newest

	list, at int // of the next entry
	changes  int // that the index had then
	started  bool
}

func (o *overlaySource) next(place entry, passed bool) (e entry, ok bool, err error) {
	if !o.started || o.changes != o.index.changes {
		var found bool
		if o.list, o.at, found = o.index.find(place); found && passed {
			o.at++
		}
		o.started, o.changes = true, o.index.changes
	}
	if o.list < len(o.index.lists) && o.at == len(o.index.lists[o.list]) {
		o.list, o.at = o.list+1, 0
	}
	if o.list == len(o.index.lists) {
		return e, false, nil
	}
	return o.index.lists[o.list][o.at], true, nil
}

func (o *overlaySource) row() (r Row, there bool, err error) {
	key := o.index.lists[o.list][o.at].key
	if o.above.get(key) != nil {
		return r, false, nil
	}
	r = *o.overlay.get(key)
	return r, r.Value != nil, nil
}

func (o *overlaySource) pass() { o.at++ }

// A rowSource has the rows of LevelDB in the order of keys.
type rowSource struct {
	store *Store
	view  *view
}

func (l *rowSource) next(entry, bool) (e entry, ok bool, err error) {
	if !l.view.it.Valid() {
		return e, false, l.store.fault(l.view.it.Error())
	}
	key := l.view.it.Key()
	if key[0] != rowSpace {
		return e, false, nil
	}
	return entry{key: key[1:]}, true, nil
}

func (l *rowSource) row() (r Row, there bool, err error) {
	r.Key = l.view.it.Key()[1:]
	if l.store.open.get(r.Key) != nil || l.view.over.get(r.Key) != nil {
		return r, false, nil
	}
	r.Value, r.Time, err = l.store.decode(l.view.it.Value(), nil)
	return r, err == nil, err
}

func (l *rowSource) pass() { l.view.it.Next() }
