package topology

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology/internal/wire"
)

// Within says how far apart in time two records may be to meet, as whole
// milliseconds.
type Within struct {
	// Name is that of the buffers of both sides, which are kept in the stores
	// <name>-left and <name>-right, and, unless the join is inner, of the records
	// that have met none, in <name>-unmatched. Required.
	Name string

	// A right record may be Before older, or After newer than a left one, both
	// included. One of them may be negative: then a right record must be so much
	// newer, or older.
	Before, After time.Duration

	// Grace is how long after the end of its window a record still waits for late
	// ones.
	Grace time.Duration
}

// JoinStreams joins records of one key that are close in time: each pair once,
// with the later time of both. A record that meets none, if the joiner wants it,
// comes when its window with grace is over, in the order of times, as soon as a
// record of either side is so new; one that is late comes at once. Without a
// key a record can meet none: it comes at once, too, or is dropped. One without
// a value is dropped.
//
// Both sides are kept for Before, After and Grace, by the time of their own
// records, so that a late record may still meet what is there. Their values need
// codecs: As names those that a topic does not.
func JoinStreams[K, L, R, O any](l Stream[K, L], r Stream[K, R], within Within, by Joiner[K, L, R, O]) Stream[K, O] {
	b, left := l.upstream()
	rb, right := r.upstream()
	b = cmp.Or(b, rb)
	down := below[K, L, O](b, left, "join streams "+within.Name)
	n := down.node
	n.ups, n.effect = distinct(left.node, right.node), true
	down.faulty = left.faulty || right.faulty
	b.meet(n, l.b)
	b.meet(n, rb)
	b.keyed(n, left.rekeyed || right.rekeyed)
	b.sameKeys(n, left.node, left.key, right.node, right.key, down.faulty)
	by.check(b, n, false)
	valueCodec(b, n, left)
	valueCodec(b, n, right)
	within.check(b, n)
	stores := keepBuffers(b, n, within, by.kind, left.key)
	start := func(k *Task) *streamJoin[K, O] {
		return startStreamJoin(k, down, stores, by, left.key, left.value, right.value)
	}
	left.feed(n, func(k *Task) step[K, L] {
		return startStreamSide(start(k), sideLeft, stores, left.value, right.value, by.leaves(sideLeft), by.leaves(sideRight), by.fn)
	})
	right.feed(n, func(k *Task) step[K, R] {
		turned := func(key K, r *cell[R], l *cell[L]) O { return by.fn(key, l, r) }
		return startStreamSide(start(k), sideRight, stores, right.value, left.value, by.leaves(sideRight), by.leaves(sideLeft), turned)
	})
	return Stream[K, O]{b, down}
}

func valueCodec[K, V any](b *Builder, n *node, s *stream[K, V]) {
	if s.value == nil && !s.faulty {
		b.wrong("%s: no codec for the values of %s of type %s: name it by As", n.name, s.name, typeName[V]())
	}
}

func (w Within) check(b *Builder, n *node) {
	if w.Name == "" {
		b.wrong("join streams: Within has no Name")
	}
	for _, err := range []error{wholeMillis("Before", w.Before), wholeMillis("After", w.After), grace(w.Grace)} {
		if err != nil {
			b.wrong("%s: %w", n.name, err)
		}
	}
	if w.Before+w.After < 0 {
		b.wrong("%s: Before is %v and After is %v: the window ends before it begins", n.name, w.Before, w.After)
	}
}

// A streamJoin is what both sides of a join of streams share within a task.
type streamJoin[K, O any] struct {
	k    *Task
	at   *node
	next step[K, O]
	made *item[K, O]
	keys codec.Codec[K]

	unmatched *rows                                               // nil if the join is inner
	clock     *clock                                              // of both sides; nil if the join is inner
	single    func(s side, key *cell[K], value []byte) (O, error) // the result of a record that has met none
}

// startStreamJoin starts what both sides share, once for each task.
func startStreamJoin[K, L, R, O any](k *Task, down *stream[K, O], stores buffers, by Joiner[K, L, R, O], keys codec.Codec[K], lefts codec.Codec[L], rights codec.Codec[R]) *streamJoin[K, O] {
	if j, ok := k.shared[down.node]; ok {
		return j.(*streamJoin[K, O])
	}
	j := &streamJoin[K, O]{k: k, at: down.node, made: newItem(keys, down.value), keys: keys}
	k.shared[down.node] = j
	j.next = down.start(k)
	if stores.unmatched == nil {
		return j
	}
	j.unmatched, j.clock = k.store(stores.unmatched), k.clock(stores.unmatched.name)
	l, r := newCell("row", lefts), newCell("row", rights)
	j.single = func(s side, key *cell[K], value []byte) (o O, err error) {
		if s == sideLeft {
			r.load(nil)
			err = l.loadRow(k, down.node, value)
		} else {
			l.load(nil)
			err = r.loadRow(k, down.node, value)
		}
		if err != nil {
			return o, err
		}
		return by.fn(key.v, l, r), nil
	}
	return j
}

// emit passes a result on.
func (j *streamJoin[K, O]) emit(key *cell[K], made O, time int64, headers []Header) error {
	j.made.key, j.made.time, j.made.headers = key, time, headers
	j.made.value.set(made, nil)
	return j.next(j.made)
}

// emitUnmatched passes on the records that have met none in their windows, which
// are over. The record that has moved the clock is not to blame for them.
func (j *streamJoin[K, O]) emitUnmatched(now int64, headers []Header) error {
	due, err := j.unmatched.due(now)
	if err != nil || len(due) == 0 {
		return err
	}
	slices.SortFunc(due, func(a, b Row) int { return bytes.Compare(a.Key, b.Key) })
	return j.k.unasked(j.at.name+": a record without a match", func() error {
		for _, row := range due {
			time, s, rest := wire.CutUnmatched(row.Key)
			bare, _, ok := wire.CutKey(rest)
			if !ok {
				return fmt.Errorf("store %q: row %q has no key", j.unmatched.state.Name, row.Key)
			}
			key := newCell("key", j.keys)
			if err := key.loadRow(j.k, j.at, bare); err != nil {
				return err
			}
			made, err := j.single(side(s), key, row.Value)
			if err != nil {
				return err
			}
			if err := j.emit(key, made, time, headers); err != nil {
				return err
			}
			j.unmatched.put(row.Key, nil, now)
		}
		return nil
	})
}
