package topology

import (
	"math"
	"time"
)

// An expiry deletes the rows of a store that were not written for its TTL.
type expiry struct {
	rows   *rows
	who    string
	delete func(row Row, deadline int64) error
}

// expires makes rows of a store go after a while.
func (s *kept) expires(ttl time.Duration) {
	if ttl <= 0 {
		return
	}
	s.ttl, s.life = ttl.Milliseconds(), millisText(ttl.Milliseconds())
	s.deadlineName = "TTL " + ttl.String()
	s.deadline = func(_, _ []byte, time int64) int64 {
		if time > math.MaxInt64-s.ttl {
			return never
		}
		return time + s.ttl
	}
}

// expiresLike makes rows that are made of those of windows go when these do,
// unless they have a TTL of their own.
func (s *kept) expiresLike(w *windowing, ttl time.Duration) {
	s.ttl = w.ttl
	if ttl > 0 {
		s.ttl = ttl.Milliseconds()
	}
	if s.ttl > 0 {
		s.keepsWindows(w, s.ttl)
	}
}

// expire deletes the rows whose TTL is over by the task's clock, store by store,
// in the order of their deadlines.
func (k *Task) expire() error {
	for _, e := range k.expiries {
		due, err := e.rows.due(k.stream.now)
		if err != nil {
			return err
		}
		for _, row := range due {
			err := k.unasked(e.who, func() error {
				return e.delete(row, e.rows.state.Deadline(row.Key, row.Value, row.Time))
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// expiry notes that a task deletes old rows of a store, once for each. It is nil
// if the store has no TTL, or was noted before.
func (k *Task) expiry(at *node, s *kept) *expiry {
	if s.ttl == 0 {
		return nil
	}
	r := k.store(s)
	for _, e := range k.expiries {
		if e.rows == r {
			return nil
		}
	}
	e := &expiry{rows: r, who: at.name + ": TTL of a row"}
	e.delete = func(row Row, deadline int64) error {
		r.put(row.Key, nil, deadline)
		return nil
	}
	k.timed()
	k.expiries = append(k.expiries, e)
	return e
}

// startExpiry makes a task delete the old rows of a table, and tell what is
// downstream: as of the time at which each was due. Nobody is told of windows.
func startExpiry[K, A any](k *Task, down *stream[K, A], table *kept) {
	e := k.expiry(down.node, table)
	if e == nil || down.windows != nil {
		return
	}
	next := down.start(k)
	change := newItem(down.key, down.value)
	change.value.load(nil)
	if down.needsOld {
		change.old = newCell("row", down.value)
	}
	e.delete = func(row Row, deadline int64) error {
		e.rows.put(row.Key, nil, deadline)
		change.key.load(row.Key)
		change.time = deadline
		if change.old != nil {
			change.old.load(row.Value)
		}
		return next(change)
	}
}
