package topology

import (
	"reflect"
	"slices"
)

// A Folded is a stream and how its values are folded into rows of another type,
// for [Cogroup].
type Folded[K, A any] struct {
	b       *Builder
	up      *stream[K, A] // the stream, but for its values
	keys    any           // its codec of keys
	foldOne func(down *stream[K, A], table *kept, rows Store[K, A])
}

// Fold says how the values of one of several streams are folded into a row. See
// [Aggregate].
func Fold[K, V, A any](s Stream[K, V], fold func(k K, v V, kept A) A) Folded[K, A] {
	b, up := s.upstream()
	return Folded[K, A]{
		b: b, keys: up.key,
		up: &stream[K, A]{node: up.node, key: up.key, rekeyed: up.rekeyed, windows: up.windows, faulty: up.faulty},
		foldOne: func(down *stream[K, A], table *kept, rows Store[K, A]) {
			aggregateInto(b, up, down, table, rows, aggregatorOf(rows, fold))
		},
	}
}

// Cogroup folds the records of several streams into one row for each key. They
// are windowed alike, or not at all; a late record is one that is late by the
// newest of all of them. The codec of the rows has no default. For [Session] windows
// the store needs a Merge.
func Cogroup[K, A any](rows Store[K, A], folds ...Folded[K, A]) Table[K, A] {
	i := slices.IndexFunc(folds, func(f Folded[K, A]) bool { return f.b != nil })
	if i < 0 {
		(*Builder)(nil).given()
	}
	b, first := folds[i].b, *folds[i].up
	for _, f := range folds {
		first.rekeyed = first.rekeyed || f.up != nil && f.up.rekeyed
		first.faulty = first.faulty || f.up == nil || f.up.faulty
	}
	table, down, rows := tableOf(b, &first, verbCogroup, rows, nil)
	if first.windows.isOpen() {
		down.windows = keepWindows(b, down.node, first.windows, first.key, table, rows)
	}
	down.ups = nil
	for _, f := range folds {
		if b.meet(down.node, f.b); f.b != b {
			continue
		}
		down.ups = append(down.ups, f.up.node)
		if !first.faulty && reflect.TypeOf(f.keys) != reflect.TypeOf(folds[i].keys) {
			b.wrong("%s: its keys are encoded by %T in %s, and by %T in %s", down.name, folds[i].keys, first.name, f.keys, f.up.name)
		}
		if !alike(first.windows, f.up.windows) {
			b.wrong("%s: %s and %s are not windowed alike", down.name, first.name, f.up.name)
			continue
		}
		f.foldOne(down, table, rows)
	}
	return Table[K, A]{b, down, table}
}

func alike(a, b *windowing) bool { return a == b || a != nil && b != nil && *a == *b }
