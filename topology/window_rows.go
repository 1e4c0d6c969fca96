package topology

import (
	"reflect"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology/internal/wire"
)

// day is for how long the rows of windows are kept unless their store says.
const day = 24 * time.Hour

// windowExpiries is how many rows of windows one record deletes at most: windows
// of many keys end together.
const windowExpiries = 1000

// keepWindows makes a store keep the rows of windows for its TTL, and returns
// how their keys are windowed.
func keepWindows[K, A any](b *Builder, n *node, w *windowing, key codec.Codec[K], table *kept, rows Store[K, A]) *windowing {
	rowsOf := *w
	rowsOf.open = false
	inner, ok := any(rows.Key).(interface{ keys() any })
	switch {
	case rows.Key == nil:
	case !ok:
		b.wrong("store %q: the keys of its windows are encoded by %T, which is no WindowedCodec", rows.Name, rows.Key)
	case inner.keys() == nil:
		b.wrong("store %q: its WindowedCodec has no codec for its Key", rows.Name)
	case key != nil && reflect.TypeOf(inner.keys()) != reflect.TypeOf(any(key).(interface{ keys() any }).keys()):
		b.wrong("store %q: its keys are encoded by %#v, those of %s by %#v: rows would be looked for in other partitions", rows.Name, rows.Key, n.name, key)
	}
	ttl := max(day.Milliseconds(), w.life)
	if rows.TTL != 0 {
		ttl = rows.TTL.Milliseconds()
	}
	if ttl < w.life && rows.TTL >= 0 {
		b.wrong("store %q: TTL is %v, but windows change for %v: %s", rows.Name, rows.TTL, time.Duration(w.life)*time.Millisecond, w.lifeReason())
	}
	table.ordered = w.kind != fixed
	rowsOf.ttl = ttl
	table.keepsWindows(&rowsOf, ttl)
	return &rowsOf
}

// keepsWindows makes a store keep rows of windows for so many milliseconds.
func (s *kept) keepsWindows(w *windowing, ttl int64) {
	s.deadline, s.keyDeadline = w.deadline(ttl), true
	s.deadlineName = w.String() + " for " + millisText(ttl)
	if w.kind == sliding {
		s.deadlineName += " and 2ms"
	}
	s.windows, s.grace, s.life = w.String(), w.graceText(), millisText(ttl)
	if s.texts != nil && w.kind == fixed {
		*s.texts.windowSize = w.size
	}
}

func (w *windowing) lifeReason() string {
	switch w.kind {
	case sliding:
		return "twice Size, and Grace, from their start"
	case session:
		return "Gap and Grace from their end"
	}
	return "Size and Grace from their start"
}

// deadline returns when rows of windows go that are kept for some time.
func (w *windowing) deadline(ttl int64) func(key, value []byte, time int64) int64 {
	switch w.kind {
	case session:
		// The end is within a session.
		return func(key, _ []byte, _ int64) int64 { _, end := wire.WindowOf(key); return end + 1 + ttl }
	case sliding:
		// It says which record is the last in it, as long as the window is open that
		// begins just after that one, whose end is within it.
		return func(key, _ []byte, _ int64) int64 { start, _ := wire.WindowOf(key); return start + 2 + ttl }
	}
	return func(key, _ []byte, _ int64) int64 { start, _ := wire.WindowOf(key); return start + ttl }
}

// A windowFolding is an aggregate of windows within a task.
type windowFolding[K, V, A any] struct {
	*folding[K, V, A]
	*windowing
	clock    *clock
	covering *clock   // the last end of a session that reaches over a closed one
	window   *cell[K] // a key within another window than the record's
	row      *cell[A] // of another window
}

func startWindows[K, V, A any](f *folding[K, V, A], w *windowing) step[K, V] {
	wf := &windowFolding[K, V, A]{
		folding: f, windowing: w, clock: f.k.clock(f.rows.state.Name),
		window: newCell("key", f.keys), row: newCell("row", f.values),
	}
	into := wf.fixed
	switch w.kind {
	case sliding:
		into = wf.sliding
	case session:
		wf.covering = f.k.clock(f.rows.state.Name + "/covering")
		into = wf.session
	}
	return func(it *item[K, V]) error {
		if taken, err := f.take(it); !taken {
			return err
		}
		now := wf.clock.observe(it.time)
		if err := into(it, now-w.grace); err != nil {
			return err
		}
		return f.rows.expire(now)
	}
}

// fixed folds a record into the tumbling or hopping window that its key names.
func (f *windowFolding[K, V, A]) fixed(it *item[K, V], closed int64) error {
	if _, end := wire.WindowOf(it.key.data); end <= closed {
		f.k.drop(Late)
		return nil
	}
	return f.update(it)
}

// keyWithin returns the record's key within a window.
func (f *windowFolding[K, V, A]) keyWithin(it *item[K, V], start, end int64) (*cell[K], error) {
	if s, e := wire.WindowOf(it.key.data); s == start && e == end {
		return it.key, nil
	}
	data := append(make([]byte, 0, len(it.key.data)), wire.WindowPrefix(it.key.data)...)
	f.window.load(wire.AppendWindow(data, start, end))
	f.window.checked = true
	if !f.how.shown {
		return f.window, nil
	}
	f.k.at, f.k.policy = f.at, f.k.policies.Decode
	if err := f.window.decode(); err != nil {
		return nil, f.k.refuse(f.at, f.k.policy, err)
	}
	return f.window, nil
}

// expire deletes the rows of windows that are over. Nothing downstream is told.
func (r *rows) expire(now int64) error {
	due, err := r.firstDue(now, windowExpiries)
	if err != nil {
		return err
	}
	for _, row := range due {
		r.put(row.Key, nil, now)
	}
	return nil
}
