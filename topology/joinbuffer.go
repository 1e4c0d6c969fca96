package topology

import (
	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology/internal/wire"
)

// buffers are the stores of a join of streams.
type buffers struct {
	left, right span
	unmatched   *kept // nil if the join is inner
}

// A span is one side's buffer, and whom its records meet, in milliseconds.
type span struct {
	*kept
	before, after int64 // the other side's records may be so much older or newer
	grace         int64
	life          int64 // a row is there until its side's clock is so much newer
}

// keepBuffers declares the stores of a join.
func keepBuffers[K any](b *Builder, n *node, w Within, kind joinKind, keys codec.Codec[K]) buffers {
	before, after, grace := w.Before.Milliseconds(), w.After.Milliseconds(), w.Grace.Milliseconds()
	keep := func(side string, before, after int64) span {
		s := span{before: before, after: after, grace: grace}
		// The second is for windows that lie wholly after their record, which may
		// not go before their end.
		s.life = max(before+after+grace, after+grace+1)
		s.kept = b.keepBuffer(n, w.Name+"-"+side)
		s.windows, s.kept.grace = betweenText(before, after), millisText(grace)
		s.deadline = func(key, _ []byte, _ int64) int64 { return wire.BufferedTime(key) + s.life }
		s.partitionKey = func(row []byte) []byte { return partitionKeyOf(keys, row) }
		return s
	}
	all := buffers{left: keep("left", before, after), right: keep("right", after, before)}
	if kind == inner {
		return all
	}
	all.unmatched = b.keepBuffer(n, w.Name+"-unmatched")
	all.unmatched.deadline = func(key, _ []byte, _ int64) int64 {
		time, s, _ := wire.CutUnmatched(key)
		if side(s) == sideLeft {
			return time + after + grace + 1
		}
		return time + before + grace + 1
	}
	all.unmatched.partitionKey = func(row []byte) []byte {
		_, _, rest := wire.CutUnmatched(row)
		return partitionKeyOf(keys, rest)
	}
	return all
}

// keepBuffer makes a step keep rows for itself, in order.
func (b *Builder) keepBuffer(n *node, name string) *kept {
	s := &kept{name: name, of: n.name, place: n.place, ordered: true}
	n.stores = append(n.stores, s)
	if err := checkName("store", name); err != nil {
		b.wrong("%s: %w", n.name, err)
	}
	for _, other := range b.stores {
		if other.name == name {
			b.wrong("store %q: rows of %s and of %s are kept in it", name, other.of, n.name)
		}
	}
	b.stores = append(b.stores, s)
	return s
}

// partitionKeyOf returns what of a row's key decides about its partition: the key
// that it begins with.
func partitionKeyOf[K any](keys codec.Codec[K], row []byte) []byte {
	key, _, ok := wire.CutKey(row)
	if !ok {
		return row
	}
	return partitionKey(keys, key)
}
