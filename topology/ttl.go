package topology

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// An expiry deletes the rows of a store that were not written for its TTL, by the
// newest time of the records that have come to a step which uses the store.
type expiry struct {
	rows   *rows
	clock  *clock
	who    string
	delete func(row Row, deadline int64) error

	running bool // what is downstream is told
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

// expire deletes the rows whose TTL is over, in the order of their deadlines.
func (k *Task) expire(e *expiry) error {
	if e.running || e.clock.now < e.rows.next {
		return nil
	}
	e.running = true
	defer func() { e.running = false }()
	due, err := e.rows.due(e.clock.now)
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
	return nil
}

// reaching returns a step that moves the clocks of a node before the node runs: its
// own, and those of the stores with a TTL that it keeps, reads, or is made of, so
// that rows which are older than they may be are gone for it. A record that does not
// come to the node moves none of them.
//
// Stores on the way from which records come have been reached before. They are left
// out, as what is downstream of them may be running and must not be told of anything.
func reaching[K, V any](k *Task, from, to *node, run step[K, V]) step[K, V] {
	passed := from.storesUpTo()
	var used []*rows
	for s := range to.storesUpTo() {
		if r := k.stores[s.name]; r != nil && s.ttl > 0 && !passed[s] {
			used = append(used, r)
		}
	}
	if len(used) == 0 && !to.timed {
		return run
	}
	slices.SortFunc(used, func(a, b *rows) int { return cmp.Compare(a.state.Name, b.state.Name) })
	return func(it *item[K, V]) error {
		if to.timed {
			k.timed().observe(k.time)
		}
		for _, r := range used {
			if r.expiry == nil { // of windows
				continue
			}
			r.expiry.clock.observe(k.time)
			if err := k.expire(r.expiry); err != nil {
				return err
			}
		}
		return run(it)
	}
}

// storesUpTo returns what a node keeps, and all that it is made of.
func (n *node) storesUpTo() map[*kept]bool {
	all := map[*kept]bool{}
	for _, up := range n.upTo() {
		for _, s := range up.stores {
			all[s] = true
		}
	}
	return all
}

// expiry notes that a task deletes old rows of a store, once for each. It is nil
// if the store has no TTL, or was noted before.
func (k *Task) expiry(at *node, s *kept) *expiry {
	if s.ttl == 0 {
		return nil
	}
	r := k.store(s)
	if r.expiry != nil {
		return nil
	}
	e := &expiry{rows: r, clock: k.clock(s.name), who: at.name + ": TTL of a row"}
	e.delete = func(row Row, deadline int64) error {
		r.put(row.Key, nil, deadline)
		return nil
	}
	r.expiry = e
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
