package topology

import (
	"bytes"
	"math"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology/internal/wire"
)

// expiries is how many rows of a buffer one record deletes at most. Those that
// are left over are not seen any more.
const expiries = 1000

// A streamSide is one side of a join of streams within a task. A is its values, B
// the other side's.
type streamSide[K, A, B, O any] struct {
	*streamJoin[K, O]
	side          side
	alone         bool // its records have a result without a match
	othersAlone   bool
	span, others  span
	mine, theirs  *rows
	now, theirNow *clock // of the records of each side that are kept
	values        codec.Codec[A]
	other, none   *cell[B]
	join          func(K, *cell[A], *cell[B]) O
	from, to      []byte // scratch
}

func startStreamSide[K, A, B, O any](j *streamJoin[K, O], s side, stores buffers, values codec.Codec[A], others codec.Codec[B], alone, othersAlone bool, join func(K, *cell[A], *cell[B]) O) step[K, A] {
	x := &streamSide[K, A, B, O]{
		streamJoin: j, side: s, alone: alone, othersAlone: othersAlone, span: stores.left, others: stores.right,
		values: values, other: newCell("row", others), none: newCell("row", others), join: join,
	}
	if s == sideRight {
		x.span, x.others = x.others, x.span
	}
	x.none.load(nil)
	x.mine, x.theirs = j.k.store(x.span.kept), j.k.store(x.others.kept)
	x.now, x.theirNow = j.k.clock(x.span.name), j.k.clock(x.others.name)
	return x.process
}

// process joins a record with what is there of the other side, and keeps it.
func (x *streamSide[K, A, B, O]) process(it *item[K, A]) error {
	if x.clock != nil {
		x.clock.observe(it.time)
	}
	if shown, err := it.look(x.k, x.at); !shown {
		return err
	}
	switch {
	case it.value.missing || it.key.missing && !x.alone:
		x.k.drop(missing(it.value.missing))
		return nil
	case it.key.missing:
		return x.emit(it.key, x.join(it.key.v, it.value, x.none), it.time, it.headers)
	}
	if _, err := it.file(x.k, x.at, x.keys); err != nil {
		return err
	}
	if x.clock != nil && it.time == x.clock.now {
		if err := x.emitUnmatched(it.time, it.headers); err != nil {
			return err
		}
	}
	data, err := it.value.encoded(x.k, x.at, x.values, true)
	if err != nil {
		return err
	}
	matched, err := x.match(it)
	if err != nil {
		return err
	}
	single := !matched && x.alone
	over := single && it.time+x.span.after+x.span.grace < x.clock.now
	if over {
		x.k.at, x.k.policy = x.at, x.k.policies.Process
		if err := x.emit(it.key, x.join(it.key.v, it.value, x.none), it.time, it.headers); err != nil {
			return err
		}
	}
	now := x.now.observe(it.time)
	if it.time <= now-x.span.life { // too old to be met
		if !matched && !over {
			x.k.drop(Late)
		}
		return nil
	}
	return x.keep(it, data, now, single && !over)
}

// match passes on the results of a record with those of the other side that are
// in its window and not expired.
func (x *streamSide[K, A, B, O]) match(it *item[K, A]) (matched bool, err error) {
	if x.theirNow.now == math.MinInt64 {
		return false, nil
	}
	from := max(it.time-x.span.before, x.theirNow.now-x.others.life+1)
	to := it.time + x.span.after
	if from > to {
		return false, nil
	}
	prefix := len(wire.AppendKey(x.from[:0], it.key.data))
	x.from = wire.AppendTime(wire.AppendKey(x.from[:0], it.key.data), from)
	x.to = wire.AppendTime(append(x.to[:0], x.from[:prefix]...), to+1)
	for row, err := range x.theirs.scan(x.from, x.to) {
		if err != nil {
			return true, err
		}
		matched = true
		time := wire.BufferedTime(row.Key)
		if x.othersAlone {
			if err := x.forgive(wire.UnmatchedKey(byte(x.side.opposite()), time, row.Key), it.time); err != nil {
				return true, err
			}
		}
		if err := x.other.loadRow(x.k, x.at, row.Value); err != nil {
			return true, err
		}
		if err := x.emit(it.key, x.join(it.key.v, it.value, x.other), max(it.time, time), it.headers); err != nil {
			return true, err
		}
	}
	return matched, nil
}

// forgive takes a record that has met one from those that have not.
func (x *streamSide[K, A, B, O]) forgive(key []byte, time int64) error {
	value, _, err := x.unmatched.get(key)
	if err == nil && value != nil {
		x.unmatched.put(key, nil, time)
	}
	return err
}

// keep puts a record into the buffer, and deletes from it what is expired. A
// record that waits has met none so far.
func (x *streamSide[K, A, B, O]) keep(it *item[K, A], data []byte, now int64, waits bool) error {
	key := wire.BufferedPrefix(it.key.data, it.time)
	number, err := x.number(key)
	if err != nil {
		return err
	}
	key = wire.AppendNumber(key, number)
	x.mine.put(key, data, it.time)
	if waits {
		x.unmatched.put(wire.UnmatchedKey(byte(x.side), it.time, key), data, it.time)
	}
	due, err := x.mine.firstDue(now, expiries)
	if err != nil {
		return err
	}
	for _, row := range due {
		x.mine.put(row.Key, nil, now)
	}
	return nil
}

// number returns the number of the next row of a key and time.
func (x *streamSide[K, A, B, O]) number(prefix []byte) (number uint32, err error) {
	first, _, err := x.mine.get(wire.AppendNumber(bytes.Clone(prefix), 0))
	if err != nil || first == nil {
		return 0, err // the common case, without a scan
	}
	for row, err := range x.mine.scan(prefix, codec.PrefixEnd(prefix)) {
		if err != nil {
			return 0, err
		}
		number = wire.BufferedNumber(row.Key) + 1
	}
	return number, nil
}
