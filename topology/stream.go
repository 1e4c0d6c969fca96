package topology

import "slices"

// A Stream is a sequence of records, each an event of its own. One without a
// key shows functions the zero K. One without a value is shown to functions
// only if V can be nil, else a step with a function drops it. Its codecs are
// those of the topic that it comes from, as long as its types are.
type Stream[K, V any] struct {
	b *Builder
	s *stream[K, V]
}

// upstream returns what a verb builds on; a zero Stream has a placeholder.
func (s Stream[K, V]) upstream() (*Builder, *stream[K, V]) {
	if s.s == nil {
		return nil, placeholder[K, V]()
	}
	return s.b, s.s
}

// A Node is what can be published: a Stream, whose records are written, or a
// Table, whose changes are, with tombstones for deleted rows.
type Node[K, V any] interface {
	upstream() (*Builder, *stream[K, V])
}

// Filter keeps the records for which keep holds.
func Filter[K, V any](s Stream[K, V], keep func(K, V) bool) Stream[K, V] {
	b, up := s.upstream()
	down := below[K, V, V](b, up, b.number("filter"))
	b.needs(down.node, keep == nil)
	up.feed(down.node, func(k *Task) step[K, V] {
		next := down.start(k)
		return func(it *item[K, V]) error {
			if shown, err := it.look(k, down.node); !shown {
				return err
			}
			if !keep(it.key.v, it.value.v) {
				return nil
			}
			return next(it)
		}
	})
	return Stream[K, V]{b, down}
}

// FilterMap replaces every value by the one that fn returns, and keeps the records
// for which ok is true. Keys stay, and so does the partitioning.
func FilterMap[K, V, W any](s Stream[K, V], fn func(K, V) (w W, ok bool)) Stream[K, W] {
	b, up := s.upstream()
	down := below[K, V, W](b, up, b.number("filter map"))
	b.needs(down.node, fn == nil)
	up.feed(down.node, func(k *Task) step[K, V] {
		next := down.start(k)
		made := newItem[K, W](nil, down.value)
		return func(it *item[K, V]) error {
			if shown, err := it.look(k, down.node); !shown {
				return err
			}
			w, ok := fn(it.key.v, it.value.v)
			if !ok {
				return nil
			}
			follow(made, it)
			made.value.set(w, nil)
			return next(made)
		}
	})
	return Stream[K, W]{b, down}
}

// MapValues replaces every value. Keys stay, and so does the partitioning.
func MapValues[K, V, W any](s Stream[K, V], fn func(K, V) W) Stream[K, W] {
	var total func(K, V) (W, error)
	if fn != nil {
		total = func(k K, v V) (W, error) { return fn(k, v), nil }
	}
	return mapped(s, "map values", total)
}

// Try is MapValues with a function that can fail. A record that it refuses goes
// where the policy for Process says.
func Try[K, V, W any](s Stream[K, V], fn func(K, V) (W, error)) Stream[K, W] {
	return mapped(s, "try", fn)
}

func mapped[K, V, W any](s Stream[K, V], verb string, fn func(K, V) (W, error)) Stream[K, W] {
	b, up := s.upstream()
	down := below[K, V, W](b, up, b.number(verb))
	b.needs(down.node, fn == nil)
	up.feed(down.node, func(k *Task) step[K, V] {
		next := down.start(k)
		made := newItem[K, W](nil, down.value)
		return func(it *item[K, V]) error {
			if shown, err := it.look(k, down.node); !shown {
				return err
			}
			w, err := fn(it.key.v, it.value.v)
			if err != nil {
				return k.refuse(down.node, k.policy, err)
			}
			follow(made, it)
			made.value.set(w, nil)
			return next(made)
		}
	})
	return Stream[K, W]{b, down}
}

// An emission passes on what a function emits, while it runs, so that nothing is
// gathered. After an error nothing more is.
type emission struct {
	k      *Task
	err    error
	at     *node // what the function runs for
	policy Policy
}

func (e *emission) run(fn func()) error {
	e.err = nil
	fn()
	return e.err
}

func (e *emission) begin() bool {
	e.at, e.policy = e.k.at, e.k.policy
	return e.err == nil
}

func (e *emission) end(err error) {
	e.err, e.k.at, e.k.policy = err, e.at, e.policy
}

// FlatMapValues replaces every value by those that fn emits, in their order. What
// is downstream has processed each when emit returns. Keys stay, and so does the
// partitioning.
func FlatMapValues[K, V, W any](s Stream[K, V], fn func(k K, v V, emit func(W))) Stream[K, W] {
	b, up := s.upstream()
	down := below[K, V, W](b, up, b.number("flat map values"))
	b.needs(down.node, fn == nil)
	up.feed(down.node, func(k *Task) step[K, V] {
		next := down.start(k)
		made, e := newItem[K, W](nil, down.value), emission{k: k}
		emit := func(w W) {
			if e.begin() {
				made.value.set(w, nil)
				e.end(next(made))
			}
		}
		return func(it *item[K, V]) error {
			if shown, err := it.look(k, down.node); !shown {
				return err
			}
			follow(made, it)
			return e.run(func() { fn(it.key.v, it.value.v, emit) })
		}
	})
	return Stream[K, W]{b, down}
}

// Map replaces every key and value. What needs the records of a key in one
// partition needs a Repartition behind it.
func Map[K, V, K2, V2 any](s Stream[K, V], fn func(K, V) (K2, V2)) Stream[K2, V2] {
	var flat func(K, V, func(K2, V2))
	if fn != nil {
		flat = func(k K, v V, emit func(K2, V2)) { emit(fn(k, v)) }
	}
	return flatMapped(s, "map", flat)
}

// FlatMap replaces every record by those that fn emits, in their order. What
// needs the records of a key in one partition needs a Repartition behind it.
func FlatMap[K, V, K2, V2 any](s Stream[K, V], fn func(k K, v V, emit func(K2, V2))) Stream[K2, V2] {
	return flatMapped(s, "flat map", fn)
}

func flatMapped[K, V, K2, V2 any](s Stream[K, V], verb string, fn func(K, V, func(K2, V2))) Stream[K2, V2] {
	b, up := s.upstream()
	down := rekeyed[K, V, K2, V2](b, up, b.number(verb))
	b.needs(down.node, fn == nil)
	up.feed(down.node, func(k *Task) step[K, V] {
		next := down.start(k)
		made := newItem(down.key, down.value)
		e := emission{k: k}
		emit := func(k2 K2, v V2) {
			if e.begin() {
				made.key.set(k2, nil)
				made.value.set(v, nil)
				e.end(next(made))
			}
		}
		return func(it *item[K, V]) error {
			if shown, err := it.look(k, down.node); !shown {
				return err
			}
			made.time, made.headers = it.time, it.headers
			return e.run(func() { fn(it.key.v, it.value.v, emit) })
		}
	})
	return Stream[K2, V2]{b, down}
}

// SelectKey replaces every key. Values stay, as bytes if no function has looked
// at them. What needs the records of a key in one partition needs a Repartition
// behind it.
func SelectKey[K, V, K2 any](s Stream[K, V], fn func(K, V) K2) Stream[K2, V] {
	b, up := s.upstream()
	down := rekeyed[K, V, K2, V](b, up, b.number("select key"))
	b.needs(down.node, fn == nil)
	up.feed(down.node, func(k *Task) step[K, V] {
		next := down.start(k)
		made := newItem(down.key, down.value)
		return func(it *item[K, V]) error {
			if shown, err := it.look(k, down.node); !shown {
				return err
			}
			made.time, made.headers = it.time, it.headers
			made.key.set(fn(it.key.v, it.value.v), nil)
			made.value = it.value
			return next(made)
		}
	})
	return Stream[K2, V]{b, down}
}

// A Branch is one of the streams that Split makes: its name, as the topology
// shows it, and what it takes.
type Branch[K, V any] struct {
	Name string // Required.
	Take func(K, V) bool
}

// Split divides a stream: a record goes to the first branch that takes it, and to
// the last stream if none does. It returns one stream more than there are branches.
func Split[K, V any](s Stream[K, V], branches ...Branch[K, V]) []Stream[K, V] {
	b, up := s.upstream()
	split := b.add(b.number("split"), up.node)
	var downs []*stream[K, V]
	seen := map[string]bool{}
	for _, br := range append(branches, Branch[K, V]{Name: "rest"}) {
		down := below[K, V, V](b, up, b.branch(br.Name, split))
		down.ups = []*node{split}
		if br.Name == "" || seen[br.Name] {
			b.wrong("%s: two branches have the name %q, or one has none", split.name, br.Name)
		}
		seen[br.Name] = true
		downs = append(downs, down)
	}
	for i, br := range branches {
		b.needs(downs[i].node, br.Take == nil)
	}
	up.feed(split, func(k *Task) step[K, V] {
		nexts := make([]step[K, V], len(downs))
		for i, down := range downs {
			nexts[i] = down.start(k)
		}
		return func(it *item[K, V]) error {
			if shown, err := it.look(k, split); !shown {
				return err
			}
			for i, br := range branches {
				if br.Take(it.key.v, it.value.v) {
					return nexts[i](it)
				}
			}
			return nexts[len(branches)](it)
		}
	})
	streams := make([]Stream[K, V], len(downs))
	for i, down := range downs {
		streams[i] = Stream[K, V]{b, down}
	}
	return streams
}

// branch names a branch, with its split if another one has such a branch.
func (b *Builder) branch(name string, split *node) string {
	name = "branch " + name
	if slices.ContainsFunc(b.nodes, func(n *node) bool { return n.name == name }) {
		return name + " of " + split.name
	}
	return name
}

// Merge joins streams of one builder into one. There is no order between their records but
// that of their times.
func Merge[K, V any](streams ...Stream[K, V]) Stream[K, V] {
	i := max(0, slices.IndexFunc(streams, func(s Stream[K, V]) bool { return s.b != nil }))
	if len(streams) == 0 {
		streams = []Stream[K, V]{{}}
	}
	b, first := streams[i].upstream()
	down := below[K, V, V](b, first, b.number("merge"))
	down.ups = nil
	for i, s := range streams {
		sb, up := s.upstream()
		b.meet(down.node, sb)
		down.ups = append(down.ups, up.node)
		down.rekeyed = down.rekeyed || up.rekeyed
		down.faulty = down.faulty || up.faulty
		if !sameWindows(down.windows, up.windows) {
			b.wrong("%s: %s is in other windows than %s", down.name, up.name, first.name)
		}
		if i > 0 && down.key != nil && !sameCodec(down.key, up.key) {
			down.key = nil
		}
		if i > 0 && down.value != nil && !sameCodec(down.value, up.value) {
			down.value = nil
		}
		up.feed(down.node, func(k *Task) step[K, V] { return down.start(k) })
	}
	return Stream[K, V]{b, down}
}

// Peek calls fn for every record on its way, for effects outside of any
// guarantee: it is called again for a record that is processed again.
func Peek[K, V any](s Stream[K, V], fn func(K, V)) Stream[K, V] {
	b, up := s.upstream()
	down := below[K, V, V](b, up, b.number("peek"))
	called(b, up, down, fn)
	return Stream[K, V]{b, down}
}

// ForEach is a Peek that nothing comes after.
func ForEach[K, V any](s Stream[K, V], fn func(K, V)) {
	b, up := s.upstream()
	down := below[K, V, V](b, up, b.number("for each"))
	called(b, up, down, fn)
}

func called[K, V any](b *Builder, up, down *stream[K, V], fn func(K, V)) {
	down.effect, down.calls = true, true
	b.needs(down.node, fn == nil)
	up.feed(down.node, func(k *Task) step[K, V] {
		next := down.start(k)
		return func(it *item[K, V]) error {
			if shown, err := it.look(k, down.node); !shown {
				return err
			}
			fn(it.key.v, it.value.v)
			return next(it)
		}
	})
}

// Records makes the whole record the value, for functions that need its time,
// its headers, or its position: that of the record that was read.
func Records[K, V any](s Stream[K, V]) Stream[K, Record[K, V]] {
	b, up := s.upstream()
	down := below[K, V, Record[K, V]](b, up, b.number("records"))
	up.feed(down.node, func(k *Task) step[K, V] {
		next := down.start(k)
		made := newItem[K, Record[K, V]](nil, down.value)
		return func(it *item[K, V]) error {
			if shown, err := it.look(k, down.node); !shown {
				return err
			}
			follow(made, it)
			made.value.set(Record[K, V]{
				Key: it.key.v, Value: it.value.v, Time: timeOf(it.time), Headers: it.headers, Position: k.record.Position,
			}, nil)
			return next(made)
		}
	})
	return Stream[K, Record[K, V]]{b, down}
}
