package topology

import "github.com/tidemark-dev/tidemark/codec"

// As names the codec of a stream's values, for JoinStreams, which keeps values that
// a step has made.
func As[K, V any](s Stream[K, V], values codec.Codec[V]) Stream[K, V] {
	b, up := s.upstream()
	down := below[K, V, V](b, up, b.number("as"))
	if values == nil {
		b.wrong("%s: the codec is nil", down.name)
		down.faulty = true
	}
	down.value = values
	up.feed(down.node, func(k *Task) step[K, V] {
		next := down.start(k)
		made := newItem[K, V](nil, values)
		return func(it *item[K, V]) error {
			if sameCodec(it.value.codec, values) {
				return next(it) // it need not be decoded
			}
			k.at, k.policy = down.node, k.policies.Decode
			if err := it.value.decode(); err != nil {
				return k.refuse(down.node, k.policy, err)
			}
			follow(made, it)
			if it.value.missing {
				made.value.load(nil)
			} else {
				made.value.set(it.value.v, nil)
			}
			return next(made)
		}
	})
	return Stream[K, V]{b, down}
}
