package topology

// Reduce combines the values of each key. The first value is kept as it is. A
// result that is nil, if V can be, deletes the row. A record without a key, or
// without a value unless V can be nil, is dropped. Of session windows that a
// record connects, fn combines the rows, the later one as v.
func Reduce[K, V any](s Stream[K, V], rows Store[K, V], fn func(k K, v, kept V) V) Table[K, V] {
	_, up := s.upstream()
	combined := func(key *cell[K], v, kept *cell[V]) V { return fn(key.v, v.v, kept.v) }
	return aggregate(s, rows, up.value, aggregator[K, V, V]{
		verb: "reduce", shown: true, missing: fn == nil,
		fold:  combined,
		first: func(value *cell[V]) *cell[V] { return value },
		merge: func(key *cell[K], a, b *cell[V]) V {
			if a.missing {
				return b.v
			}
			return combined(key, b, a)
		},
	})
}
