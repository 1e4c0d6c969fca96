package topology

// A Joiner makes one value of two, and says by its kind which of them may be
// missing. Where it makes a nil, if O can be, there is no value: a join of tables
// deletes the row.
type Joiner[K, L, R, O any] struct {
	kind joinKind
	fn   func(K, *cell[L], *cell[R]) O // of cells that are decoded; nil if the user's function is
}

type joinKind int

const (
	inner joinKind = iota
	left
	outer
)

// Inner joins where both sides are present.
func Inner[K, L, R, O any](fn func(K, L, R) O) Joiner[K, L, R, O] {
	if fn == nil {
		return Joiner[K, L, R, O]{kind: inner}
	}
	return Joiner[K, L, R, O]{inner, func(k K, l *cell[L], r *cell[R]) O { return fn(k, l.v, r.v) }}
}

// Left joins every left side; its right side may be nil.
func Left[K, L, R, O any](fn func(K, L, *R) O) Joiner[K, L, R, O] {
	if fn == nil {
		return Joiner[K, L, R, O]{kind: left}
	}
	return Joiner[K, L, R, O]{left, func(k K, l *cell[L], r *cell[R]) O { return fn(k, l.v, r.pointer()) }}
}

// Outer joins every side; the other may be nil. It is for JoinTables and
// JoinStreams.
func Outer[K, L, R, O any](fn func(K, *L, *R) O) Joiner[K, L, R, O] {
	if fn == nil {
		return Joiner[K, L, R, O]{kind: outer}
	}
	return Joiner[K, L, R, O]{outer, func(k K, l *cell[L], r *cell[R]) O { return fn(k, l.pointer(), r.pointer()) }}
}

// A side is one of the two that a joiner joins.
type side int

const (
	sideLeft side = iota
	sideRight
)

func (s side) opposite() side { return sideRight - s }

// leaves reports whether a record of a side has a result without one of the other.
func (j Joiner[K, L, R, O]) leaves(s side) bool {
	return j.kind == outer || j.kind == left && s == sideLeft
}

// check notes what is wrong with the joiner of a step. Sided says that the step
// has results for the records of one side only, so that there is no outer join.
func (j Joiner[K, L, R, O]) check(b *Builder, n *node, sided bool) {
	b.needs(n, j.fn == nil)
	if sided && j.kind == outer {
		b.wrong("%s: there is no outer join of this kind: a right row without a left record has no result: use Left", n.name)
	}
}
