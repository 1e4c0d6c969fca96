package topology

import "github.com/tidemark-dev/tidemark/topology/internal/wire"

// Unwindow takes the window off each key of a stream of windowed keys, as the
// changes of a table of windows are. Records stay in their partitions: those of a
// windowed key lie in the partition of the key within, so no Repartition is needed.
// Records of all windows of a key have one key then, in the order in which they come.
func Unwindow[K, V any](s Stream[Windowed[K], V]) Stream[K, V] {
	b, up := s.upstream()
	down := &stream[K, V]{
		node: b.add(b.number("unwindow"), up.node), value: up.value, rekeyed: up.rekeyed, faulty: up.faulty,
	}
	if windowed, ok := any(up.key).(WindowedCodec[K]); ok {
		down.key = windowed.Key
	}
	if up.windows.isOpen() {
		b.wrong("%s of %s: its records are on their way into windows, some of them into several: count, reduce or aggregate them first", down.name, up.name)
	}
	up.feed(down.node, func(k *Task) step[Windowed[K], V] { return startUnwindow(k, up, down) })
	return Stream[K, V]{b, down}
}

func startUnwindow[K, V any](k *Task, up *stream[Windowed[K], V], down *stream[K, V]) step[Windowed[K], V] {
	next := down.start(k)
	made := newItem(down.key, down.value)
	return func(it *item[Windowed[K], V]) error {
		made.value, made.time, made.headers = it.value, it.time, it.headers
		k.at, k.policy = down.node, k.policies.Decode
		switch {
		case it.key.missing:
			made.key.load(nil)
		case down.key != nil && it.key.data != nil && !it.key.decoded:
			inner, err := wire.WindowedKey(it.key.data)
			if err != nil {
				return k.refuse(down.node, k.policy, err)
			}
			made.key.load(inner)
		default:
			if err := it.key.decode(); err != nil {
				return k.refuse(down.node, k.policy, err)
			}
			made.key.set(it.key.v.Key, nil)
		}
		return next(made)
	}
}
