package store

import "bytes"

// Lookups are rows that the task has read from LevelDB and not written since: a
// table that streams are joined with is read over and over. A row that is read
// to be written at once, as a count is, is not worth an entry: so each waits for
// the next call.
type lookups struct {
	rows map[string][]byte // as in LevelDB; nil for what is not there
	held int               // bytes, about

	key     []byte // of the row read last
	row     []byte
	waiting bool
}

// get returns a row, nil if there is known to be none.
func (l *lookups) get(key []byte) (row []byte, ok bool) {
	if l.waiting {
		if bytes.Equal(l.key, key) {
			return l.row, true
		}
		l.keep()
	}
	row, ok = l.rows[string(key)]
	return row, ok
}

// note takes over a row that was read.
func (l *lookups) note(key, row []byte) {
	l.key, l.row, l.waiting = append(l.key[:0], key...), row, true
}

func (l *lookups) keep() {
	if l.rows == nil || l.held > cacheBytes {
		l.rows, l.held = map[string][]byte{}, 0
	}
	l.rows[string(l.key)] = l.row
	l.held += len(l.key) + len(l.row) + rowCost
	l.waiting = false
}

// drop forgets a row that is written.
func (l *lookups) drop(key []byte) {
	if l.waiting && bytes.Equal(l.key, key) {
		l.waiting = false
		return
	}
	if len(l.rows) > 0 {
		delete(l.rows, string(key))
	}
}
