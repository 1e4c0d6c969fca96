package topology

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

// Consume reads a topic as a stream, from the application's last commit, at
// first from the topic's start.
func Consume[K, V any](b *Builder, from Topic[K, V]) Stream[K, V] {
	if b == nil {
		return Stream[K, V]{}
	}
	b.ready()
	if in, ok := b.inputs[from.Name]; ok {
		if s, ok := in.stream.(*stream[K, V]); ok && in.declared.equal(from.declaration()) {
			return Stream[K, V]{b, s}
		}
		b.wrong("topic %q: it is read as %s and as %s", from.Name, in.declared, from.declaration())
		return Stream[K, V]{b, placeholder[K, V]()}
	}
	if err := from.check(); err != nil {
		b.errs = append(b.errs, err)
	}
	s := &stream[K, V]{
		node:  b.add("topic "+from.Name, nil),
		key:   from.Key,
		value: from.Value,
		// The missing name or codec is reported, once is enough.
		faulty: from.Key == nil || from.Value == nil,
	}
	s.input = &input{node: s.node, topic: from.Name, policies: from.Policies, declared: from.declaration(), stream: s, handle: from}
	s.input.start = func(k *Task) func() error { return startInput(k, s) }
	if from.Name != "" {
		b.inputs[from.Name] = s.input
	}
	return Stream[K, V]{b, s}
}

// startInput returns what passes the record of a task on.
func startInput[K, V any](k *Task, s *stream[K, V]) func() error {
	next := s.start(k)
	it := newItem(newKey(s.key), s.value)
	return func() error {
		it.reset(k.record.Key)
		it.resetData(k.record.Value)
		return next(it)
	}
}

// Filter keeps the records for which keep holds.
func Filter[K, V any](s Stream[K, V], keep func(K, V) bool) Stream[K, V] {
	b, up := s.upstream()
	down := below[K, V, V](b, up, b.number("filter"))
	if keep == nil {
		b.wrong("%s: the function is nil", down.name)
	}
	up.feed(down.node, func(k *Task) step[K, V] {
		next := down.start(k)
		return func(it *item[K, V]) error {
			if shown, err := it.look(k, down.node); !shown {
				return err
			}
			if !keep(it.key.value, it.value) {
				return nil
			}
			return next(it)
		}
	})
	return Stream[K, V]{b, down}
}

// MapValues replaces every value. Keys stay, and so does the partitioning.
func MapValues[K, V, W any](s Stream[K, V], fn func(K, V) W) Stream[K, W] {
	var total func(K, V) (W, error)
	if fn != nil {
		total = func(k K, v V) (W, error) { return fn(k, v), nil }
	}
	return mapped(s, "map", total)
}

// Try is MapValues with a function that can fail. A record that it refuses goes
// where the policy for Process says.
func Try[K, V, W any](s Stream[K, V], fn func(K, V) (W, error)) Stream[K, W] {
	return mapped(s, "try", fn)
}

func mapped[K, V, W any](s Stream[K, V], verb string, fn func(K, V) (W, error)) Stream[K, W] {
	b, up := s.upstream()
	down := below[K, V, W](b, up, b.number(verb))
	if fn == nil {
		b.wrong("%s: the function is nil", down.name)
	}
	up.feed(down.node, func(k *Task) step[K, V] {
		next := down.start(k)
		made := newItem[K, W](nil, down.value)
		return func(it *item[K, V]) error {
			if shown, err := it.look(k, down.node); !shown {
				return err
			}
			w, err := fn(it.key.value, it.value)
			if err != nil {
				return k.refuse(down.node, k.policy, err)
			}
			made.key = it.key
			made.resetValue(w, nil)
			return next(made)
		}
	})
	return Stream[K, W]{b, down}
}

// Publish writes to a topic: the records of a stream, or the changes of a
// table. They have the time and the headers of the record that caused them.
func Publish[K, V any](from Node[K, V], to Topic[K, V]) {
	if from == nil {
		return
	}
	b, up := from.upstream()
	if b == nil {
		return
	}
	p := &publish{node: b.add("topic "+to.Name, up.node), topic: to.Name}
	b.publishes = append(b.publishes, p)
	to = to.orCodecs(up.key, up.value)
	if err := to.check(); err != nil && !up.faulty {
		b.errs = append(b.errs, err)
	}
	if to.Name == "" {
		return
	}
	if out, ok := b.outputs[to.Name]; !ok {
		b.outputs[to.Name] = &output{to.declaration(), to}
	} else if !out.declared.equal(to.declaration()) {
		b.wrong("topic %q: it is published as %s and as %s", to.Name, out.declared, to.declaration())
	}
	sameKey, sameValue := sameCodec(up.key, to.Key), sameCodec(up.value, to.Value)
	up.feed(p.node, func(k *Task) step[K, V] {
		return func(it *item[K, V]) error {
			key, err := it.encodedKey(k, p.node, to.Key, sameKey)
			if err != nil {
				return err
			}
			value, err := it.encoded(k, p.node, to.Value, sameValue)
			if err != nil {
				return err
			}
			k.writes.Records = append(k.writes.Records, Raw{
				Key: key, Value: value, Time: k.record.Time, Headers: k.record.Headers,
				Position: Position{Topic: to.Name},
			})
			return nil
		}
	})
}
