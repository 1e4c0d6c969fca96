package topology

import "bytes"

// session folds a record into the session that it is in, or connects: those
// within a gap before and after it become one. They are deleted, in their order,
// and passed on as deleted, before the one that they become is written; also if
// it is one that they were. Nothing is written if that is over.
func (f *windowFolding[K, V, A]) session(it *item[K, V], closed int64) error {
	near, err := f.sessionsNear(it)
	if err != nil {
		return err
	}
	start, end := it.time, it.time
	for i := range near {
		s, e := windowOf(near[i].Key)
		start, end = min(start, s), max(end, e)
	}
	if end < closed {
		f.k.writes.Dropped = true
		return nil
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
	_, end := windowOf(row.Key)
	f.window.load(row.Key)
	f.window.checked = true
	f.made.load(nil)
	return f.put(f.window, f.made, end, it.headers)
}

// sessionsNear returns copies of the sessions that a record is within a gap of,
// in their order. Sessions of a key never touch, so what lies before one that
// begins at the record's time or earlier is too far away. Most of the time that
// is one of the last few gaps.
func (f *windowFolding[K, V, A]) sessionsNear(it *item[K, V]) ([]Row, error) {
	for _, gaps := range []int64{8, 64} {
		from := it.time - gaps*f.gap
		if from <= 0 {
			break
		}
		near, first, err := f.sessionsFrom(it, from)
		if err != nil || first <= it.time {
			return near, err
		}
	}
	near, _, err := f.sessionsFrom(it, 0)
	return near, err
}

// sessionsFrom looks at sessions that begin at some time or later. First is when
// the first of them does.
func (f *windowFolding[K, V, A]) sessionsFrom(it *item[K, V], from int64) (near []Row, first int64, err error) {
	first = never
	prefix := prefixOf(it.key.data)
	for row, err := range f.rows.scan(startKey(prefix, from), startKey(prefix, it.time+f.gap+1)) {
		if err != nil {
			return nil, 0, err
		}
		start, end := windowOf(row.Key)
		first = min(first, start)
		if end >= it.time-f.gap {
			row.Key, row.Value = bytes.Clone(row.Key), bytes.Clone(row.Value)
			near = append(near, row)
		}
	}
	return near, first, nil
}
