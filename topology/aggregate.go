package topology

import (
	"bytes"

	"github.com/tidemark-dev/tidemark/codec"
)

// Count counts the records of each key. Of a stream of changes, see [Regroup], it
// counts rows: one that comes adds, one that goes subtracts; a count that comes to
// 0 stays. The codec of the counts defaults to [codec.Int64]. A record without a
// key, or without a value unless V can be nil, is dropped.
func Count[K, V any](s Stream[K, V], rows Store[K, int64]) Table[K, int64] {
	how := aggregator[K, V, int64]{
		verb:  "count",
		fold:  func(_ *cell[K], _ *cell[V], kept *cell[int64]) int64 { return kept.v + 1 },
		merge: func(_ *cell[K], a, b *cell[int64]) int64 { return a.v + b.v },
	}
	if isChange[V]() {
		how.shown = true
		how.fold = func(_ *cell[K], value *cell[V], kept *cell[int64]) int64 {
			return kept.v + any(&value.v).(changed).rows()
		}
	}
	return aggregate(s, rows, codec.Int64{}, how)
}

// Verbs whose stores say how rows begin and are merged.
const (
	verbAggregate = "aggregate"
	verbCogroup   = "cogroup"
)

// Aggregate folds the values of each key into a row, which starts as what Initial
// of the store returns, or else as the zero A. A fold that returns nil, if A can be, deletes the row. A record without a
// key, or without a value unless V can be nil, is dropped. Of a stream of changes,
// see [Regroup], the Old side is nil where no row is kept: it was never folded in.
//
// For [Session] windows the store needs a Merge.
func Aggregate[K, V, A any](s Stream[K, V], rows Store[K, A], fold func(k K, v V, kept A) A) Table[K, A] {
	_, up := s.upstream()
	values, _ := any(up.value).(codec.Codec[A])
	return aggregate(s, rows, values, aggregatorOf(rows, fold))
}

func aggregatorOf[K, V, A any](rows Store[K, A], fold func(K, V, A) A) aggregator[K, V, A] {
	how := aggregator[K, V, A]{verb: verbAggregate, shown: true, missing: fold == nil}
	how.fold = func(key *cell[K], value *cell[V], kept *cell[A]) A { return fold(key.v, value.v, rows.begun(kept)) }
	if rows.Merge != nil {
		how.merge = func(key *cell[K], a, b *cell[A]) A { return rows.Merge(key.v, rows.begun(a), b.v) }
	}
	return how
}

// begun returns a row to fold a value into: the initial one if there is none.
func (s *Store[K, V]) begun(row *cell[V]) V {
	if row.missing && s.Initial != nil {
		return s.Initial()
	}
	return row.v
}

// An aggregator says how values become rows.
type aggregator[K, V, A any] struct {
	verb    string
	shown   bool // its functions look at keys and values
	missing bool // the user's function is
	changes bool // values are Changes, which are folded as such
	fold    func(key *cell[K], value *cell[V], kept *cell[A]) A
	first   func(value *cell[V]) *cell[A]       // in place of fold where no row is kept; may be nil
	merge   func(key *cell[K], a, b *cell[A]) A // of sessions; may be nil
}

func aggregate[K, V, A any](s Stream[K, V], rows Store[K, A], values codec.Codec[A], how aggregator[K, V, A]) Table[K, A] {
	b, up := s.upstream()
	table, down, rows := tableOf(b, up, how.verb, rows, values)
	if up.windows.isOpen() {
		down.windows = keepWindows(b, down.node, up.windows, up.key, table, rows)
	}
	aggregateInto(b, up, down, table, rows, how)
	return Table[K, A]{b, down, table}
}

// aggregateInto folds the records of a stream into a table, which may take those
// of others, too.
func aggregateInto[K, V, A any](b *Builder, up *stream[K, V], down *stream[K, A], table *kept, rows Store[K, A], how aggregator[K, V, A]) {
	b.needs(down.node, how.missing)
	if up.windows.isOpen() && up.windows.kind == session && how.merge == nil {
		b.wrong("%s: sessions that grow together need a function to merge their rows: set Merge of store %q", down.name, rows.Name)
	}
	how.changes = isChange[V]() && how.first == nil
	same := sameCodec(up.value, rows.Value)
	up.feed(down.node, func(k *Task) step[K, V] {
		startExpiry(k, down, table)
		f := &folding[K, V, A]{
			k: k, at: down.node, how: how, same: same, keys: rows.Key, values: rows.Value,
			rows: k.store(table), next: down.start(k),
			made: newCell("value", rows.Value), kept: newCell("row", rows.Value),
		}
		f.change = &item[K, A]{}
		if down.needsOld {
			f.change.old = newCell("row", rows.Value)
		}
		if !up.windows.isOpen() {
			return f.plain
		}
		return startWindows(f, up.windows)
	})
}

// A folding is an aggregate within a task.
type folding[K, V, A any] struct {
	k      *Task
	at     *node
	how    aggregator[K, V, A]
	same   bool // a value has the codec of rows
	keys   codec.Codec[K]
	values codec.Codec[A]
	rows   *rows
	next   step[K, A]

	made   *cell[A] // a row that was made
	kept   *cell[A] // as it was
	change *item[K, A]
}

// plain folds a record into the row of its key.
func (f *folding[K, V, A]) plain(it *item[K, V]) error {
	if taken, err := f.take(it); !taken {
		return err
	}
	return f.update(it)
}

// take reports false for a record that is left out. Of others it makes ready
// what the functions look at.
func (f *folding[K, V, A]) take(it *item[K, V]) (bool, error) {
	if it.value.missing && !it.value.nillable {
		f.k.drop(NoValue)
		return false, nil
	}
	if filed, err := it.file(f.k, f.at, f.keys); !filed {
		return false, err
	}
	if f.how.shown {
		return it.look(f.k, f.at)
	}
	f.k.at, f.k.policy = f.at, f.k.policies.Decode
	if err := it.value.check(); err != nil {
		return false, f.k.refuse(f.at, f.k.policy, err)
	}
	return true, nil
}

// update folds a record into the row of the same key. The row's time is that of
// its newest record.
func (f *folding[K, V, A]) update(it *item[K, V]) error {
	data, at, err := f.rows.get(it.key.data)
	if err != nil {
		return err
	}
	time := it.time
	if data != nil {
		time = max(time, at)
	}
	f.was(data)
	if err := f.load(f.kept, data); err != nil {
		return err
	}
	return f.fold(it, it.key, time)
}

// was notes what a row is before it changes, nil if there is none.
func (f *folding[K, V, A]) was(data []byte) {
	if f.change.old != nil {
		f.change.old.load(bytes.Clone(data))
	}
}

// load decodes a row.
func (f *folding[K, V, A]) load(row *cell[A], data []byte) error {
	f.k.at, f.k.policy = f.at, f.k.policies.Process
	row.load(data)
	if err := row.decode(); err != nil {
		return f.k.refuse(f.at, f.k.policy, err)
	}
	return nil
}

// fold folds a record into f.kept, writes what comes out as the row of a key,
// and passes it on. The key's bytes are known, and the key if it is shown.
func (f *folding[K, V, A]) fold(it *item[K, V], key *cell[K], time int64) error {
	if f.how.changes && f.kept.missing {
		whole := it.value.v
		defer func() { it.value.v = whole }() // others look at it
		c := any(&it.value.v).(changed)
		if c.forgetOld(); c.nothing() {
			return nil
		}
	}
	row := f.made
	f.k.at, f.k.policy = f.at, f.k.policies.Process
	if f.how.first != nil && f.kept.missing {
		row = f.first(it.value)
	} else {
		row.set(f.how.fold(key, it.value, f.kept), nil)
	}
	return f.put(key, row, time, it.headers)
}

// first returns a value as the row that it begins.
func (f *folding[K, V, A]) first(value *cell[V]) *cell[A] {
	row := f.how.first(value)
	if f.same {
		return row
	}
	f.made.set(row.v, nil)
	return f.made
}

// put writes a row and passes the change on.
func (f *folding[K, V, A]) put(key *cell[K], row *cell[A], time int64, headers []Header) error {
	data, err := row.encoded(f.k, f.at, f.values, true)
	if err != nil {
		return err
	}
	f.rows.put(key.data, data, time)
	f.change.key, f.change.value, f.change.time, f.change.headers = key, row, time, headers
	return f.next(f.change)
}
