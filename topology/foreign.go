package topology

import (
	"bytes"
	"cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology/internal/wire"
)

// JoinForeign joins each row of one table with the row of another whose key it
// contains. Without ok it contains none. A change of either side makes the rows of
// the result anew: all that contain its key, if it is one of the right table. Each
// has the time of that change, or of the right row, if that is later and the change
// is one of the left table. The result is a table of its own, kept in rows, with
// the keys of the left one.
//
// Both tables may be partitioned as they like: rows of the left one subscribe to
// those of the right one through the topic <application>-<store>-subscription, which
// are kept in the store <store>-subscriptions, and are answered through the topic
// <application>-<store>-response. An answer to a row that has changed since is
// dropped. As in Kafka Streams, a left row without a right one may have a tombstone
// that deletes nothing. Unlike there, each change of a left row has an answer, so that
// no row of the result stays after an answer that was dropped.
func JoinForeign[K, L, F, R, O any](l Table[K, L], r Table[F, R], rows Store[K, O], key func(K, L) (f F, ok bool), by Joiner[K, L, R, O]) Table[K, O] {
	b, left := l.upstream()
	rb, right := r.upstream()
	if rb != b || b == nil {
		b = cmp.Or(b, rb).given()
		b.meet(&node{name: "join foreign " + rows.Name}, nil)
		return Table[K, O]{b, placeholder[K, O](), &kept{}}
	}
	left.needsOld = true
	faulty := left.faulty || right.faulty || checkName("store", rows.Name) != nil
	topic := b.application + "-" + rows.Name

	// Left rows subscribe.
	send := b.add("foreign key "+rows.Name, left.node)
	b.needs(send, key == nil)
	subscriptions := &stream[F, wire.Subscription]{node: send, key: right.key, value: subscriptionCodec{}, faulty: faulty}
	left.feed(send, func(k *Task) step[K, L] {
		return startForeignKey(k, subscriptions, left.key, l.rows, key, by.kind)
	})
	subscribed := through(b, subscriptions, topic+"-subscription")

	// Right rows answer.
	answer := b.add("subscriptions "+rows.Name, distinct(subscribed.node, right.node)...)
	kept := b.keepBuffer(answer, rows.Name+"-subscriptions")
	kept.partitionKey = func(row []byte) []byte { return partitionKeyOf(right.key, row) }
	answer.effect = true
	responses := &stream[K, wire.Response]{node: answer, key: left.key, value: responseCodec{}, faulty: faulty}
	subscribed.feed(answer, func(k *Task) step[F, wire.Subscription] {
		return startSubscribe(k, responses, right.key, r.rows, kept)
	})
	right.feed(answer, func(k *Task) step[F, R] {
		return startAnswer[K, F, R](k, responses, right.key, r.rows, kept)
	})
	responded := through(b, responses, topic+"-response")

	// Answers become rows.
	n := b.add("join foreign "+rows.Name, distinct(responded.node, left.node)...)
	by.check(b, n, true)
	values, _ := any(left.value).(codec.Codec[O])
	table, rows := keep(b, n, "join", left.name, rows, left.key, values, left.faulty || right.faulty)
	table.expires(rows.TTL)
	down := &stream[K, O]{node: n, key: rows.Key, value: rows.Value, windows: left.windows, faulty: left.faulty || right.faulty}
	responded.feed(n, func(k *Task) step[K, wire.Response] {
		return startResponse(k, down, table, l.rows, left.value, right.value, by)
	})
	return Table[K, O]{b, down, table}
}

// through sends a stream through a topic of ours.
func through[K, V any](b *Builder, s *stream[K, V], topic string) *stream[K, V] {
	_, down := Repartition(Stream[K, V]{b, s}, Topic[K, V]{Name: topic, Key: s.key, Value: s.value}).upstream()
	return down
}

// startForeignKey returns what tells the right side of a change of a left row: to
// forget its old subscription, if the key that it contains has changed, and the new one.
func startForeignKey[K, L, F any](k *Task, down *stream[F, wire.Subscription], keys codec.Codec[K], table *kept, key func(K, L) (F, bool), kind joinKind) step[K, L] {
	next, lefts := down.start(k), k.store(table)
	made := newItem(down.key, down.value)
	foreign := func(it *item[K, L], row *cell[L]) ([]byte, error) {
		if row.missing {
			return nil, nil
		}
		f, ok := key(it.key.v, row.v)
		if !ok || canBeNil[F]() && isNil(&f) {
			return nil, nil
		}
		data, err := encode(down.key, f)
		if err != nil {
			return nil, k.refuse(down.node, k.policy, err)
		}
		return data, nil
	}
	return func(it *item[K, L]) error {
		if filed, err := it.file(k, down.node, keys); !filed {
			return err
		}
		if it.value.missing && it.old.missing {
			return nil
		}
		if err := it.decode(k, down.node); err != nil {
			return err
		}
		if err := it.old.decode(); err != nil {
			return k.refuse(down.node, k.policy, err)
		}
		was, err := foreign(it, it.old)
		if err != nil {
			return err
		}
		is, err := foreign(it, it.value)
		if err != nil {
			return err
		}
		row, _, err := lefts.get(it.key.data)
		if err != nil {
			return err
		}
		s := wire.Subscription{Row: wire.DigestOf(row), Key: it.key.data}
		send := func(to []byte, do wire.Instruction) error {
			s.Do = do
			made.time, made.headers = it.time, it.headers
			made.key.load(to)
			made.value.set(s, nil)
			return next(made)
		}
		switch moved := was != nil && (is == nil || !bytes.Equal(was, is)); {
		case kind == inner && is == nil:
			if !it.value.missing {
				k.drop(NoKey)
			}
			if was == nil {
				return send(nil, wire.Refresh)
			}
			return send(was, wire.DeleteAndAnswer)
		case kind == inner && !moved:
			return send(is, wire.Refresh)
		case moved:
			if err := send(was, wire.DeleteOnly); err != nil {
				return err
			}
		}
		return send(is, wire.Answer)
	}
}

// startSubscribe returns what keeps the subscription of a left row, and answers it.
func startSubscribe[K, F any](k *Task, down *stream[K, wire.Response], keys codec.Codec[F], table, kept *kept) step[F, wire.Subscription] {
	respond, rights, subscriptions := startRespond(k, down), k.store(table), k.store(kept)
	return func(it *item[F, wire.Subscription]) error {
		k.at, k.policy = down.node, k.policies.Decode
		if err := it.value.decode(); err != nil {
			return k.refuse(down.node, k.policy, err)
		}
		s := it.value.v
		if it.key.missing {
			if s.Do != wire.Answer && s.Do != wire.Refresh {
				k.drop(NoKey)
				return nil
			}
			return respond(s.Key, wire.Response{Row: s.Row, Quiet: s.Do == wire.Refresh}, it.time, it.headers)
		}
		if _, err := it.file(k, down.node, keys); err != nil {
			return err
		}
		var row []byte
		if s.Do == wire.Answer || s.Do == wire.Refresh {
			row = wire.Response{Row: s.Row}.Encode()
		}
		subscriptions.put(append(wire.AppendKey(nil, it.key.data), s.Key...), row, it.time)
		right, at, err := rights.get(it.key.data)
		if err != nil {
			return err
		}
		time := it.time
		if right != nil {
			time = max(time, at)
		}
		switch s.Do {
		case wire.DeleteAndAnswer:
			return respond(s.Key, wire.Response{Row: s.Row}, time, it.headers)
		case wire.Answer, wire.Refresh:
			return respond(s.Key, wire.Response{Row: s.Row, Right: right, Quiet: right == nil && s.Do == wire.Refresh}, time, it.headers)
		}
		return nil
	}
}

// startAnswer returns what tells all left rows that contain the key of a right
// row of its change, in the order of their keys.
func startAnswer[K, F, R any](k *Task, down *stream[K, wire.Response], keys codec.Codec[F], table, kept *kept) step[F, R] {
	respond, rights, subscriptions := startRespond(k, down), k.store(table), k.store(kept)
	return func(it *item[F, R]) error {
		if filed, err := it.file(k, down.node, keys); !filed {
			return err
		}
		right, _, err := rights.get(it.key.data)
		if err != nil {
			return err
		}
		right = bytes.Clone(right)
		prefix := wire.AppendKey(nil, it.key.data)
		for row, err := range subscriptions.scan(prefix, codec.PrefixEnd(prefix)) {
			if err != nil {
				return err
			}
			s, err := wire.DecodeResponse(row.Value)
			if err != nil {
				return err // the store is broken, not the record
			}
			if err := respond(bytes.Clone(row.Key[len(prefix):]), wire.Response{Row: s.Row, Right: right}, it.time, it.headers); err != nil {
				return err
			}
		}
		return nil
	}
}

func startRespond[K any](k *Task, down *stream[K, wire.Response]) func(key []byte, r wire.Response, time int64, headers []Header) error {
	next := down.start(k)
	made := newItem(down.key, down.value)
	return func(key []byte, r wire.Response, time int64, headers []Header) error {
		made.time, made.headers = time, headers
		made.key.load(key)
		made.value.set(r, nil)
		return next(made)
	}
}

// startResponse returns what makes a row of an answer, unless the left row has
// changed since it was asked for.
func startResponse[K, L, R, O any](k *Task, down *stream[K, O], table, lefts *kept, left codec.Codec[L], right codec.Codec[R], by Joiner[K, L, R, O]) step[K, wire.Response] {
	put, results, rows := startTable(k, down, table), k.store(table), k.store(lefts)
	made := newItem[K, O](nil, down.value)
	l, r := newCell("row", left), newCell("row", right)
	return func(it *item[K, wire.Response]) error {
		if filed, err := it.file(k, down.node, down.key); !filed {
			return err
		}
		k.at, k.policy = down.node, k.policies.Decode
		if err := it.value.decode(); err != nil {
			return k.refuse(down.node, k.policy, err)
		}
		data, _, err := rows.get(it.key.data)
		if err != nil {
			return err
		}
		if wire.DigestOf(data) != it.value.v.Row {
			k.drop(Late)
			return nil
		}
		follow(made, it)
		if data == nil || it.value.v.Right == nil && by.kind == inner {
			if old, _, err := results.get(it.key.data); err != nil || old == nil && it.value.v.Quiet {
				return err
			}
			made.value.load(nil)
			return put(made, nil, true)
		}
		if err := l.loadRow(k, down.node, data); err != nil {
			return err
		}
		if err := r.loadRow(k, down.node, it.value.v.Right); err != nil {
			return err
		}
		if err := it.decode(k, down.node); err != nil {
			return err
		}
		made.value.set(by.fn(it.key.v, l, r), nil)
		if data, err = made.value.encoded(k, down.node, down.value, true); err != nil {
			return err
		}
		return put(made, data, true)
	}
}
