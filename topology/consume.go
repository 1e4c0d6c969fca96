package topology

// Consume reads a topic as a stream, from the application's last commit, at
// first from the topic's start.
func Consume[K, V any](b *Builder, from Topic[K, V]) Stream[K, V] {
	b.given().ready()
	if in, ok := b.inputs[from.Name]; ok {
		if s, ok := in.stream.(*stream[K, V]); ok && in.declared.equal(from.declaration()) {
			return Stream[K, V]{b, s}
		}
		b.wrong("topic %q: it is read as %s and as %s", from.Name, in.declared, from.declaration())
		return Stream[K, V]{b, placeholder[K, V]()}
	}
	if err := from.check(); err != nil {
		b.note(err)
	}
	s := &stream[K, V]{
		node:  b.add("topic " + from.Name),
		key:   from.Key,
		value: from.Value,
		// The missing name or codec is reported, once is enough.
		faulty: from.Key == nil || from.Value == nil,
	}
	s.source = true
	in := &input{node: s.node, topic: from.Name, policies: from.Policies, declared: from.declaration(), stream: s, handle: from}
	in.start = func(k *Task) *taskInput { return startInput(k, in, s, from) }
	if from.Name != "" {
		b.inputs[from.Name] = in
	}
	return Stream[K, V]{b, s}
}

// startInput returns what passes the records of a topic on.
func startInput[K, V any](k *Task, in *input, s *stream[K, V], from Topic[K, V]) *taskInput {
	next := s.start(k)
	own := from.Time == nil && from.MaxAhead == 0 // it is the record's own
	it, dated := newItem(s.key, s.value), newItem(s.key, s.value)
	return &taskInput{
		topic:    in.topic,
		at:       in.node,
		policies: in.policies.or(k.application),
		process: func(at int64) error {
			it.key.load(k.record.Key)
			it.value.load(k.record.Value)
			it.time, it.headers = at, k.record.Headers
			return next(it)
		},
		time: func(r *Raw) (int64, error) {
			if own {
				return recordTime(r.Time)
			}
			return from.happened(dated, r, k.Now)
		},
	}
}
