package topology

// A Group is a part of a topology that runs on its own: one input, one table,
// and what is published of it. It is one goka group, and one Kafka consumer
// group.
type Group struct {
	// Name is <application>-<store>: the consumer group.
	Name string

	// Input is the topic that is read.
	Input string

	// Store is the name of the table's store, Table that of its changelog topic:
	// <application>-<store>-table.
	Store, Table string

	// EveryChange says that each change of a row is a record of the changelog.
	EveryChange bool

	// Outputs are the topics that are published to, sorted.
	Outputs []string

	// Sinks follow the table.
	Sinks []Sink
}

// NewTask returns a task, which finds its rows through rows.
func (g *Group) NewTask(rows Reader) *Task { return &Task{} }

// A Reader looks up a row as the records before have left it, nil if there is
// none. The task does not keep the bytes.
type Reader interface {
	Get(key []byte) ([]byte, error)
}

// A Task runs one partition of a group. It does no I/O but reading rows: the
// same rows and records give the same writes. It is not safe for concurrent use.
type Task struct{}

// Process passes a record through every step that it feeds. The writes are
// valid until the next call, and may share the record's bytes. An error is a
// *RecordError if the record is to blame, and leaves nothing behind; any other
// comes from the Reader.
func (k *Task) Process(r Raw) (Writes, error) { return Writes{}, nil }

// Writes are the effects of one record, in order. The caller makes them durable.
type Writes struct {
	Rows    []Raw // of the table; a nil value deletes. Key, Value and Time are set
	Records []Raw // to publish. Topic, Key, Value, Time and Headers are set
	Dropped bool  // the record was left out: it has no key where one is needed
}
