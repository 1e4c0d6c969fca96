package topology

import "github.com/tidemark-dev/tidemark/codec"

// A row of a buffer has the key of its record, its time, and a number that tells
// records of one key and time apart, in the order in which they came. One of the
// unmatched records has its time, its side, then its key and that number: so they
// come out in Kafka Streams' order, which has right ones before left ones.

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
		s.deadline = func(key, _ []byte, _ int64) int64 { return timeOfBuffered(key) + s.life }
		s.partitionKey = func(row []byte) []byte { return partitionKeyOf(keys, row) }
		return s
	}
	all := buffers{left: keep("left", before, after), right: keep("right", after, before)}
	if kind == inner {
		return all
	}
	all.unmatched = b.keepBuffer(n, w.Name+"-unmatched")
	all.unmatched.deadline = func(key, _ []byte, _ int64) int64 {
		time, side, _ := cutUnmatched(key)
		if side == sideLeft {
			return time + after + grace + 1
		}
		return time + before + grace + 1
	}
	all.unmatched.partitionKey = func(row []byte) []byte {
		_, _, rest := cutUnmatched(row)
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

const numberBytes = 4

// timeOfBuffered returns the time of a buffered record, from its row's key.
func timeOfBuffered(row []byte) int64 {
	if len(row) < 8+numberBytes {
		return 0
	}
	time, _, _ := cutTime(row[len(row)-8-numberBytes:])
	return time
}

// partitionKeyOf returns what of a row's key decides about its partition: the key
// that it begins with.
func partitionKeyOf[K any](keys codec.Codec[K], row []byte) []byte {
	key, _, ok := cutKey(row)
	if !ok {
		return row
	}
	return partitionKey(keys, key)
}

// unmatchedKey is the row's key of a record that met none. Buffered is that of its
// row in the buffer.
func unmatchedKey(s side, time int64, buffered []byte) []byte {
	row := append(appendTime(make([]byte, 0, len(buffered)+1), time), 1-byte(s))
	row = append(row, buffered[:len(buffered)-8-numberBytes]...)
	return append(row, buffered[len(buffered)-numberBytes:]...)
}

// cutUnmatched returns what the row's key of an unmatched record begins with, and
// the rest, which begins with the record's key.
func cutUnmatched(row []byte) (time int64, s side, rest []byte) {
	time, rest, ok := cutTime(row)
	if !ok || len(rest) == 0 {
		return 0, sideLeft, nil
	}
	return time, side(1 - rest[0]), rest[1:]
}
