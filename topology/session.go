package topology

import (
	"bytes"

	"github.com/tidemark-dev/tidemark/topology/internal/wire"
)

// session folds a record into the session that it is in, or connects: those
// within a gap before and after it become one. They are deleted, in their order,
// and passed on as deleted, before the one that they become is written; also if
// it is one that they were. Nothing is written if that is over. A session that is
// closed stays as it is: it is not joined, even if its row is still there.
func (f *windowFolding[K, V, A]) session(it *item[K, V], closed int64) error {
	near, covered, err := f.sessionsNear(it, closed)
	if err != nil {
		return err
	}
	start, end := it.time, it.time
	for i := range near {
		s, e := wire.WindowOf(near[i].Key)
		start, end = min(start, s), max(end, e)
	}
	if end < closed {
		f.k.drop(Late)
		return nil
	}
	if start <= covered {
		f.covering.observe(end)
	}
	if start == end && len(near) > 0 {
		// The session of this one moment: it stays where it is.
		f.was(near[0].Value)
	} else {
		for i := range near {
			if err := f.remove(it, &near[i]); err != nil {
				return err
			}
		}
		f.was(nil)
	}
	key, err := f.keyWithin(it, start, end)
	if err != nil {
		return err
	}
	if err := f.load(f.kept, nil); err != nil {
		return err
	}
	for i := range near {
		if err := f.load(f.row, near[i].Value); err != nil {
			return err
		}
		f.kept.set(f.how.merge(key, f.kept, f.row), nil)
	}
	return f.fold(it, key, end)
}

// remove deletes a session that becomes a part of another, and passes that on.
func (f *windowFolding[K, V, A]) remove(it *item[K, V], row *Row) error {
	f.was(row.Value)
	_, end := wire.WindowOf(row.Key)
	f.window.load(row.Key)
	f.window.checked = true
	f.made.load(nil)
	return f.put(f.window, f.made, end, it.headers)
}

// sessionsNear returns copies of the open sessions that a record is within a gap
// of, in their order, and where the last closed one before the record begins, -1 if
// there is none near. Open sessions of a key never touch each other, and mostly
// none reaches over a closed one. So what lies before a session that begins at the
// record's time or earlier is too far away. Most of the time that session is one of
// the last few gaps.
func (f *windowFolding[K, V, A]) sessionsNear(it *item[K, V], closed int64) (near []Row, covered int64, err error) {
	for _, gaps := range []int64{8, 64} {
		from := it.time - gaps*f.gap
		if from <= 0 {
			break
		}
		found, err := f.sessionsFrom(it, from, closed)
		if err != nil || found.first <= it.time {
			return found.near, found.covered, err
		}
	}
	found, err := f.sessionsFrom(it, 0, closed)
	return found.near, found.covered, err
}

// foundSessions are the sessions of a key that begin at some time or later.
type foundSessions struct {
	near    []Row // the open ones within a gap
	first   int64 // the first start that none of an earlier start reaches beyond
	covered int64 // the last start of a closed one
}

// sessionsFrom looks at the sessions of the record's key that begin at some time
// or later. A late record may make an open session grow back over a closed one;
// while there may be such a session, a closed one says nothing about those before it.
func (f *windowFolding[K, V, A]) sessionsFrom(it *item[K, V], from, closed int64) (foundSessions, error) {
	found := foundSessions{first: never, covered: -1}
	mayCover := f.covering.now >= closed
	prefix := wire.WindowPrefix(it.key.data)
	for row, err := range f.rows.scan(wire.WindowStart(prefix, from), wire.WindowStart(prefix, it.time+f.gap+1)) {
		if err != nil {
			return foundSessions{}, err
		}
		start, end := wire.WindowOf(row.Key)
		if end < closed {
			found.covered = start
			if !mayCover {
				found.first = min(found.first, start)
			}
			continue
		}
		found.first = min(found.first, start)
		if end >= it.time-f.gap {
			row.Key, row.Value = bytes.Clone(row.Key), bytes.Clone(row.Value)
			found.near = append(found.near, row)
		}
	}
	return found, nil
}
