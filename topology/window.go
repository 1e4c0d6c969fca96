package topology

import (
	"errors"
	"fmt"
	"time"

	"github.com/tidemark-dev/tidemark/topology/internal/wire"
)

// Windows is one of [Tumbling], [Hopping], [Sliding] and [Session].
//
// Grace is for how long a window stays open after its end, in the time of
// records: that of the newest record which the step that counts, reduces or
// aggregates has seen in its partition. What comes for a window that is closed
// is dropped and counted. All durations are whole milliseconds.
type Windows interface{ windowing() (*windowing, error) }

// Tumbling windows have one size and do not overlap. They begin at multiples of
// Size since 1970.
type Tumbling struct{ Size, Grace time.Duration }

// Hopping windows have one size and begin at every multiple of Advance since
// 1970: a record is in each of those that it falls into.
type Hopping struct{ Size, Advance, Grace time.Duration }

// Sliding windows hold records that are at most Size apart: there is one for each
// set of records that a window of that size can hold. Start and End are within
// it. No window begins before 1970: what is less than Size later is in the first.
type Sliding struct{ Size, Grace time.Duration }

// Session windows grow while records are at most Gap apart: a window reaches
// from its first record to its last, and two that a record connects become one.
type Session struct{ Gap, Grace time.Duration }

func (w Tumbling) windowing() (*windowing, error) {
	return Hopping{Size: w.Size, Advance: w.Size, Grace: w.Grace}.windowing()
}

func (w Hopping) windowing() (*windowing, error) {
	err := errors.Join(positive("Size", w.Size), positive("Advance", w.Advance), grace(w.Grace))
	if err == nil && w.Advance > w.Size {
		err = fmt.Errorf("Advance is %v, more than Size, %v: records between two windows would be in none", w.Advance, w.Size)
	}
	size := w.Size.Milliseconds()
	return &windowing{
		kind: fixed, size: size, advance: w.Advance.Milliseconds(), grace: w.Grace.Milliseconds(),
		life: size + w.Grace.Milliseconds(), open: true,
	}, err
}

func (w Sliding) windowing() (*windowing, error) {
	err := errors.Join(positive("Size", w.Size), grace(w.Grace))
	size := w.Size.Milliseconds()
	return &windowing{
		kind: sliding, size: size, grace: w.Grace.Milliseconds(),
		// A record is compared with windows that ended one size before its own began.
		life: 2*size + w.Grace.Milliseconds(), open: true,
	}, err
}

func (w Session) windowing() (*windowing, error) {
	err := errors.Join(positive("Gap", w.Gap), grace(w.Grace))
	// A session may still grow for a gap after its end.
	life := w.Gap.Milliseconds() + w.Grace.Milliseconds()
	return &windowing{kind: session, gap: w.Gap.Milliseconds(), grace: life, life: life, open: true}, err
}

func positive(field string, d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("%s is %v, it must be more than 0", field, d)
	}
	return wholeMillis(field, d)
}

func grace(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("%s is %v, less than 0", "Grace", d)
	}
	return wholeMillis("Grace", d)
}

func wholeMillis(field string, d time.Duration) error {
	if d%time.Millisecond != 0 {
		return fmt.Errorf("%s is %v: Kafka's times are whole milliseconds", field, d)
	}
	return nil
}

// A windowing says how the keys of a stream are windowed. Times are in
// milliseconds.
type windowing struct {
	kind          windowKind
	size, advance int64
	gap           int64
	grace         int64 // from a window's end until it is closed
	life          int64 // the least that rows must be kept: from the start; of sessions from the end
	ttl           int64 // for how long they are kept; 0 while open

	// open says that the keys are those of records on their way to an aggregate;
	// else they are those of its rows.
	open bool
}

type windowKind int

const (
	fixed windowKind = iota
	sliding
	session
)

// isOpen reports whether records are on their way to an aggregate.
func (w *windowing) isOpen() bool { return w != nil && w.open }

// sameWindows reports whether records on their way to an aggregate may go there
// together.
func sameWindows(a, b *windowing) bool {
	if !a.isOpen() || !b.isOpen() {
		return a.isOpen() == b.isOpen()
	}
	return *a == *b
}

// first returns the start of the first window that a time falls into. No window
// begins before 1970.
func (w *windowing) first(at int64) int64 {
	return floor(max(0, at-w.size+w.advance), w.advance) * w.advance
}

// Window puts the records of a stream into windows, for [Count], [Reduce] and
// [Aggregate]. On the way there Filter, MapValues and the like may look at them:
// a record is shown once for each tumbling or hopping window that it is in; once
// within the sliding window that ends, or the session that consists of it.
// Records without a key are dropped.
func Window[K, V any](s Stream[K, V], by Windows) Stream[Windowed[K], V] {
	b, up := s.upstream()
	down := &stream[Windowed[K], V]{
		node: b.add(b.number("window"), up.node), value: up.value, rekeyed: up.rekeyed, faulty: up.faulty,
	}
	if up.key != nil {
		down.key = WindowedCodec[K]{up.key}
	}
	var w *windowing
	err := errors.New("it has no windows")
	if by != nil {
		w, err = by.windowing()
	}
	if err != nil {
		b.wrong("%s of %s: %w", down.name, up.name, err)
		w = &windowing{size: 1, advance: 1, open: true}
	}
	if up.windows.isOpen() {
		b.wrong("%s of %s: its records are in windows already", down.name, up.name)
	}
	down.windows = w
	up.feed(down.node, func(k *Task) step[K, V] { return startWindow(k, up, down) })
	return Stream[Windowed[K], V]{b, down}
}

func startWindow[K, V any](k *Task, up *stream[K, V], down *stream[Windowed[K], V]) step[K, V] {
	next, w := down.start(k), down.windows
	made := newItem(down.key, down.value)
	pass := func(it *item[K, V], inner []byte, start, end int64) error {
		if inner != nil {
			made.key.load(wire.WindowKey(inner, start, end))
			made.key.checked = true
		}
		if it.key.decoded {
			made.key.set(Windowed[K]{it.key.v, timeOf(start), timeOf(end)}, made.key.data)
		}
		return next(made)
	}
	return func(it *item[K, V]) error {
		inner, err := it.windowKey(k, down.node, up)
		if err != nil {
			return err
		}
		if it.key.missing {
			k.drop(NoKey)
			return nil
		}
		made.value, made.time, made.headers = it.value, it.time, it.headers
		switch w.kind {
		case session:
			return pass(it, inner, it.time, it.time)
		case sliding:
			return pass(it, inner, it.time-w.size, it.time)
		}
		for start := w.first(it.time); start <= it.time; start += w.advance {
			if err := pass(it, inner, start, start+w.size); err != nil {
				return err
			}
		}
		return nil
	}
}

// windowKey returns the bytes of a key that goes into a window, nil if it has no
// codec: then it is decoded.
func (it *item[K, V]) windowKey(k *Task, at *node, up *stream[K, V]) ([]byte, error) {
	if it.key.missing {
		return nil, nil
	}
	if up.key != nil {
		return it.key.encoded(k, at, up.key, true)
	}
	k.at, k.policy = at, k.policies.Decode
	if err := it.key.decode(); err != nil {
		return nil, k.refuse(at, k.policy, err)
	}
	return nil, nil
}
