package topology

import (
	"github.com/tidemark-dev/tidemark/codec"
)

// Publish writes to a topic: the records of a stream, or the changes of a
// table. They have the time and the headers of the record that caused them.
func Publish[K, V any](from Node[K, V], to Topic[K, V]) {
	if from == nil {
		(*Builder)(nil).given()
	}
	b, up := from.upstream()
	n := b.add("topic "+to.Name, up.node)
	n.effect = true
	to = publishTo(b, n, up, to)
	if to.Name == "" {
		return
	}
	sameKey, sameValue := sameCodec(up.key, to.Key), sameCodec(up.value, to.Value)
	up.feed(n, func(k *Task) step[K, V] {
		return func(it *item[K, V]) error { return send(k, n, it, to, sameKey, sameValue) }
	})
}

// publishTo notes that a node writes to a topic, and returns the topic with its
// codecs.
func publishTo[K, V any](b *Builder, n *node, up *stream[K, V], to Topic[K, V]) Topic[K, V] {
	b.publishes = append(b.publishes, &publish{node: n, topic: to.Name})
	to = to.orCodecs(up.key, up.value)
	if err := to.check(); err != nil && !up.faulty {
		b.note(err)
	}
	if to.Name == "" {
		return to
	}
	if out, ok := b.outputs[to.Name]; !ok {
		b.outputs[to.Name] = &output{to.declaration(), to}
	} else if !out.declared.equal(to.declaration()) {
		b.wrong("topic %q: it is published as %s and as %s", to.Name, out.declared, to.declaration())
	}
	return to
}

// send adds an item to what the call publishes.
func send[K, V any](k *Task, at *node, it *item[K, V], to Topic[K, V], sameKey, sameValue bool) error {
	key, err := it.key.encoded(k, at, to.Key, sameKey)
	if err != nil {
		return err
	}
	value, err := it.value.encoded(k, at, to.Value, sameValue)
	if err != nil {
		return err
	}
	k.publish(to.Name, key, partitionKey(to.Key, key), value, it.time, it.headers)
	return nil
}

// partitionKey is what of a key decides about the partition of its records.
func partitionKey[K any](c codec.Codec[K], key []byte) []byte {
	if p, ok := any(c).(interface{ partitionKey([]byte) []byte }); ok && key != nil {
		return p.partitionKey(key)
	}
	return key
}

// Route writes every record to the topic that is chosen for it, which must
// exist and have both codecs. A record for a topic without them, or without a
// name, goes where the policy for Process says.
func Route[K, V any](s Stream[K, V], to func(K, V) Topic[K, V]) {
	b, up := s.upstream()
	n := b.add(b.number("route"), up.node)
	n.effect = true
	b.needs(n, to == nil)
	up.feed(n, func(k *Task) step[K, V] {
		return func(it *item[K, V]) error {
			if shown, err := it.look(k, n); !shown {
				return err
			}
			topic := to(it.key.v, it.value.v).orCodecs(up.key, up.value)
			if err := topic.check(); err != nil {
				return k.refuse(n, k.policy, err)
			}
			return send(k, n, it, topic, sameCodec(up.key, topic.Key), sameCodec(up.value, topic.Value))
		}
	})
}

// Repartition sends a stream through a topic of its own, so that records of one
// key meet in one partition. The processor creates the topic, with the partitions
// that its readers need, and deletes from it what is committed.
func Repartition[K, V any](s Stream[K, V], through Topic[K, V]) Stream[K, V] {
	b, up := s.upstream()
	through = through.orCodecs(up.key, up.value)
	Publish(s, through)
	return repartitioned(b, through)
}

// repartitioned reads a topic that the processor creates.
func repartitioned[K, V any](b *Builder, through Topic[K, V]) Stream[K, V] {
	if in := b.inputs[through.Name]; in != nil && in.repartition == nil {
		b.wrong("topic %q: records are sent through it and it is consumed: give the repartition topic a name of its own", through.Name)
		return Stream[K, V]{b, placeholder[K, V]()}
	}
	if through.Partitions < 0 {
		b.wrong("topic %q: %d partitions", through.Name, through.Partitions)
	}
	before := len(b.errs)
	down := Consume(b, through)
	b.errs = b.errs[:min(before, len(b.errs))] // Publish has said what is wrong with the topic
	if in := b.inputs[through.Name]; in != nil {
		in.repartition = &RepartitionTopic{Topic: through.Name, Partitions: int32(through.Partitions)}
	}
	return down
}
