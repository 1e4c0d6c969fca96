package topology

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"
)

// A Row is a row of a store, or a change of one.
type Row struct {
	Store      string
	Key, Value []byte // a nil Value deletes
	Time       int64  // of the newest record that made it, in milliseconds since 1970
}

// Rows are the rows of one store as a task finds them: with everything that its
// earlier calls have written. The task does not keep the bytes.
type Rows interface {
	// Get returns a row's value and time, nil if there is none. The bytes are valid
	// until the next call.
	Get(key []byte) (value []byte, time int64, err error)

	// Scan yields the rows with from <= key < to in order; a nil to has no end. It
	// is asked of stores that are Ordered. What is written meanwhile may be missing.
	Scan(from, to []byte) iter.Seq2[Row, error]

	// Due yields the rows of a store with a Deadline in order of their deadlines,
	// those of one deadline in order of their keys. The task ends it at the first
	// row that is not due.
	Due() iter.Seq2[Row, error]
}

// never is the deadline of a row that stays.
const never = math.MaxInt64

// rows are a task's rows of one store, with what the call under way has written.
type rows struct {
	Rows
	k      *Task
	state  *StateStore
	expiry *expiry // nil if it has no TTL, or one of windows

	written []Row          // by this call, in order; the last one of a key counts
	last    map[string]int // the index of a key's last row, once there are many
	next    int64          // no row is due before; math.MinInt64 if that is not known
	limits  *Limits        // of the changelog; nil until a row is written
}

const fewRows = 8

// store returns the task's rows of a store of its group.
func (k *Task) store(s *kept) *rows {
	return k.stores[s.name]
}

// find returns the index of what the call has written for a key, or -1.
func (r *rows) find(key []byte) int {
	if len(r.written) <= fewRows {
		for i := len(r.written) - 1; i >= 0; i-- {
			if bytes.Equal(r.written[i].Key, key) {
				return i
			}
		}
		return -1
	}
	if i, ok := r.last[string(key)]; ok {
		return i
	}
	return -1
}

// get returns a row's value, nil if there is none. The bytes are valid until the
// next get or scan.
func (r *rows) get(key []byte) (value []byte, time int64, err error) {
	if i := r.find(key); i >= 0 {
		return r.written[i].Value, r.written[i].Time, nil
	}
	at := r.k.at
	r.k.at = nil // a panic of the store is not the record's fault
	value, time, err = r.Get(key)
	r.k.at = at
	if err != nil {
		return nil, 0, fmt.Errorf("store %q: read row: %w", r.state.Name, err)
	}
	return value, time, nil
}

// put writes a row; a nil value deletes it. It keeps both.
func (r *rows) put(key, value []byte, time int64) {
	if r.limits == nil {
		r.limits = r.k.limitsOf(r.state.Changelog)
	}
	if !r.limits.plainly(key, value, nil) && !r.k.takes(r.limits, rowRecord(r.state.Changelog, key, value, time)) {
		return
	}
	r.written = append(r.written, Row{Store: r.state.Name, Key: key, Value: value, Time: time})
	if n := len(r.written); n > fewRows {
		if r.last == nil {
			r.last = map[string]int{}
		}
		if len(r.last) == 0 {
			for i := range r.written {
				r.last[string(r.written[i].Key)] = i
			}
		}
		r.last[string(key)] = n - 1
	}
	if r.state.Deadline != nil && value != nil {
		r.next = min(r.next, r.state.Deadline(key, value, time))
	}
	r.k.changed(r)
}

// rowRecord is a row as it is written to its changelog.
func rowRecord(changelog string, key, value []byte, ms int64) Output {
	return Output{Raw: Raw{Key: key, Value: value, Time: time.UnixMilli(ms), Position: Position{Topic: changelog}}, PartitionKey: key}
}

// scan yields the rows with from <= key < to in order, as they are when it
// begins; a nil to has no end. The bytes are the caller's until it goes on.
func (r *rows) scan(from, to []byte) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		own := r.writtenBetween(from, to)
		for row, err := range r.Scan(from, to) {
			if err != nil {
				yield(Row{}, fmt.Errorf("store %q: scan: %w", r.state.Name, err))
				return
			}
			for len(own) > 0 && bytes.Compare(own[0].Key, row.Key) < 0 {
				if own[0].Value != nil && !yield(own[0], nil) {
					return
				}
				own = own[1:]
			}
			if len(own) > 0 && bytes.Equal(own[0].Key, row.Key) {
				row, own = own[0], own[1:]
			}
			if row.Value != nil && !yield(row, nil) {
				return
			}
		}
		for _, row := range own {
			if row.Value != nil && !yield(row, nil) {
				return
			}
		}
	}
}

// writtenBetween returns the last row of each key that the call has written, in
// the order of keys.
func (r *rows) writtenBetween(from, to []byte) (own []Row) {
	for i := range r.written {
		w := &r.written[i]
		if bytes.Compare(w.Key, from) >= 0 && (to == nil || bytes.Compare(w.Key, to) < 0) && r.find(w.Key) == i {
			own = append(own, *w)
		}
	}
	slices.SortFunc(own, func(a, b Row) int { return bytes.Compare(a.Key, b.Key) })
	return own
}

// due returns the rows whose deadline is until or before, in order of their
// deadlines. They are copies.
func (r *rows) due(until int64) ([]Row, error) { return r.firstDue(until, math.MaxInt) }

// firstDue returns no more than the first ones of what due returns. The caller
// deletes them: the next call finds what comes behind.
func (r *rows) firstDue(until int64, limit int) ([]Row, error) {
	if until < r.next {
		return nil, nil
	}
	return r.readDue(until, limit)
}

// readDue is apart from firstDue because its loop makes its arguments escape: most
// of the time nothing is due.
func (r *rows) readDue(until int64, limit int) ([]Row, error) {
	type dated struct {
		Row
		deadline int64
	}
	var found []dated
	next, taken := int64(never), 0
	for i := range r.written {
		w := &r.written[i]
		if w.Value == nil || r.find(w.Key) != i {
			continue
		}
		if d := r.state.Deadline(w.Key, w.Value, w.Time); d <= until {
			found = append(found, dated{*w, d})
		} else {
			next = min(next, d)
		}
	}
	for row, err := range r.Due() {
		if err != nil {
			return nil, fmt.Errorf("store %q: rows that are due: %w", r.state.Name, err)
		}
		if r.find(row.Key) >= 0 {
			continue
		}
		d := r.state.Deadline(row.Key, row.Value, row.Time)
		if d > until || taken == limit {
			next = min(next, d)
			break
		}
		taken++
		row.Key, row.Value = bytes.Clone(row.Key), bytes.Clone(row.Value)
		found = append(found, dated{row, d})
	}
	slices.SortStableFunc(found, func(a, b dated) int {
		return cmp.Or(cmp.Compare(a.deadline, b.deadline), bytes.Compare(a.Key, b.Key))
	})
	if len(found) > limit {
		next = min(next, found[limit].deadline)
		found = found[:limit]
	}
	r.next = next
	due := make([]Row, len(found))
	for i := range found {
		due[i] = found[i].Row
	}
	return due, nil
}

// forget drops what the call has written. A call that failed has seen rows that
// are not there any more, so what is due is not known.
func (r *rows) forget(failed bool) {
	r.written = r.written[:0]
	clear(r.last)
	if failed {
		r.next = math.MinInt64
	}
}
