package topology

import (
	"reflect"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
)

// A kept is a store as the topology declares it, without its types.
type kept struct {
	name        string
	of          string // the step that keeps it, for errors
	place       string // where it was declared, for errors
	table       bool   // of a Table; else of a step that keeps it for itself
	everyChange bool
	ordered     bool
	sinks       []Sink
	texts       *texts // nil if nobody reads its rows
	format      *Format
	handle      any // Store[K, V], with its codecs

	windows, grace, life string // as descriptions have them, "" for none

	ttl          int64                                     // in milliseconds, 0 for never; windows have their own
	deadline     func(key, value []byte, time int64) int64 // nil for rows that stay
	deadlineName string                                    // with its figures
	keyDeadline  bool                                      // the deadline lies in the key
	partitionKey func(key []byte) []byte                   // nil if it is the key
}

// A StateStore is a store of a group as the processor keeps it: rows in LevelDB,
// and a changelog topic.
type StateStore struct {
	Name string

	// Changelog is the changelog topic: <application>-<name>-table.
	Changelog string

	// Table says that the rows are those of a Table, which may be queried. Else a
	// step keeps them for itself.
	Table bool

	// Meaning says what the rows are. Rows of another meaning are not to be read as
	// these.
	Meaning string

	// EveryChange says that each change of a row is a record of the changelog.
	EveryChange bool

	// Ordered says that a task may Scan the rows.
	Ordered bool

	// Sinks follow the table.
	Sinks []Sink

	// Format writes its rows for readers outside.
	Format *Format

	// Deadline returns when a row is due, in milliseconds of the time of records,
	// math.MaxInt64 for never. Nil if no row ever is.
	Deadline func(key, value []byte, time int64) int64

	// DeadlineName is another one for another Deadline, whose rows are to be put in
	// order anew. DeadlineByKey says that a row's deadline depends on its key alone.
	DeadlineName  string
	DeadlineByKey bool

	// PartitionKey returns what of a row's key decides about its partition. Nil if
	// the whole key does.
	PartitionKey func(key []byte) []byte
}

func (s *kept) state(b *Builder) StateStore {
	return StateStore{
		Name: s.name, Changelog: b.changelog(s.name), Table: s.table, Meaning: s.meaning(b), EveryChange: s.everyChange, Ordered: s.ordered,
		Sinks: append([]Sink(nil), s.sinks...), Format: s.format, PartitionKey: s.partitionKey,
		Deadline: s.deadline, DeadlineName: s.deadlineName, DeadlineByKey: s.keyDeadline,
	}
}

// keep makes a step keep rows in a store. Key and value default to the codecs of
// the store. Up is what the rows are made from, for errors.
func keep[K, V any](b *Builder, n *node, verb, up string, rows Store[K, V], key codec.Codec[K], value codec.Codec[V], faulty bool) (*kept, Store[K, V]) {
	s := &kept{name: rows.Name, of: up, place: n.place, table: true, everyChange: rows.EveryChange}
	n.stores, n.effect = append(n.stores, s), true
	if err := checkName("store", rows.Name); err != nil {
		b.wrong("%s of %s: %w", verb, up, err)
	}
	for _, other := range b.stores {
		switch {
		case other.name != rows.Name || rows.Name == "":
		case !other.table:
			b.wrong("store %q: %s opens it, and the table of %s is kept in it, which must be declared first", rows.Name, other.of, up)
		default:
			b.wrong("store %q: two tables are kept in it, of %s and of %s", rows.Name, other.of, up)
		}
	}
	if rows.TTL < 0 || rows.TTL%time.Millisecond != 0 {
		b.wrong("store %q: TTL is %v: it is to be whole milliseconds, or none", rows.Name, rows.TTL)
	}
	if verb != verbAggregate && verb != verbCogroup {
		rows.notFolded(b, n.name)
	}
	b.stores = append(b.stores, s)
	if rows.Key == nil {
		rows.Key = key
	}
	if rows.Value == nil {
		rows.Value = value
	}
	switch {
	case faulty:
	case rows.Key == nil:
		b.wrong("store %q: no codec for its keys of type %s", rows.Name, typeName[K]())
	case key != nil && reflect.TypeOf(rows.Key) != reflect.TypeOf(key):
		// A view looks for a row in the partition of its key's bytes.
		b.wrong("store %q: its keys are encoded by %T, those of %s by %T: rows would be looked for in other partitions", rows.Name, rows.Key, up, key)
	}
	if rows.Value == nil && !faulty {
		b.wrong("store %q: no codec for its values of type %s", rows.Name, typeName[V]())
	}
	if p, ok := any(rows.Key).(interface{ partitionKey([]byte) []byte }); ok {
		s.partitionKey = p.partitionKey
	}
	x := newTexts(rows.Key, rows.Value)
	s.texts, s.format, s.handle = &x, newFormat(rows.Key, rows.Value, &x), rows
	return s, rows
}
