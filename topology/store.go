package topology

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
)

// A Store says where rows are kept: the table, its directory in LevelDB and its
// changelog topic. It is the handle by which rows are read.
type Store[K, V any] struct {
	// Name is unique in the topology. Required. The changelog topic is
	// <application>-<name>-table.
	Name string

	// Key and Value default to the codecs of what the rows are made from.
	Key   codec.Codec[K]
	Value codec.Codec[V]

	// TTL is for how long a row is kept, in the time of records: a row is deleted,
	// with a tombstone, when the newest time of its task's records is TTL or more
	// later than its own, and what is downstream is told. It stays by default, and in
	// a partition without records. Rows of windows are kept for TTL after the start
	// of the window, after the end of a session, by default for a day, or longer where
	// windows are open for longer; what is downstream is not told when they go. Whole
	// milliseconds.
	TTL time.Duration

	// Initial returns what [Aggregate] and [Cogroup] fold the first value of a row
	// into. Defaults to the zero V. It is called anew for each row.
	Initial func() V

	// Merge joins the rows of two sessions that a record connects, for [Aggregate]
	// and [Cogroup], which need it for [Session] windows: one by one from the first,
	// beginning with what Initial returns. The record is folded into what comes out.
	// The key is the window that the sessions become.
	Merge func(k K, a, b V) V

	// EveryChange writes each change to the changelog. By default the last one
	// of a commit is written for each key.
	EveryChange bool
}

// A WindowStore is a store of rows of windows or sessions.
type WindowStore[K, V any] = Store[Windowed[K], V]

// notFolded notes a mistake if the store says how its rows begin or are merged,
// and what keeps rows in it does not ask.
func (s Store[K, V]) notFolded(b *Builder, who string) {
	if s.Initial != nil || s.Merge != nil {
		b.wrong("store %q: Initial and Merge are for Aggregate and Cogroup, and it is %s that keeps rows in it", s.Name, who)
	}
}

// In returns the store with the codecs that it has in a topology. It is an
// error if the topology has no such store.
func (s Store[K, V]) In(t *Topology) (Store[K, V], error) {
	if _, ok := t.stores[s.Name]; !ok {
		return s, fmt.Errorf("store %q: application %q has none of this name, it has %s", s.Name, t.application, quoted(t.Stores()))
	}
	return handle(t, "store", s.Name, s)
}

// handle returns what a topology knows under a name, if it is of the same type.
func handle[T any](t *Topology, kind, name string, asked T) (T, error) {
	if found, ok := t.handles[name].(T); ok {
		return found, nil
	}
	return asked, fmt.Errorf("%s %q: application %q has it as %T, not as %T", kind, name, t.application, t.handles[name], asked)
}

// quoted lists names.
func quoted(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(q, ", ")
}

func typeName[T any]() string { return reflect.TypeFor[T]().String() }
