package topology

import (
	"fmt"
	"time"
)

// A Record is one Kafka record, decoded, or one row as a view serves it.
type Record[K, V any] struct {
	Key     K
	Value   V
	Time    time.Time
	Headers []Header
	Position
}

// Raw is a record as it lies on Kafka. A nil key or value is a missing one.
type Raw = Record[[]byte, []byte]

// A Header is one header of a record. Keys may repeat.
type Header struct {
	Key   string
	Value []byte
}

// A Position is a place in a topic.
type Position struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// String returns "topic/partition@offset".
func (p Position) String() string { return fmt.Sprintf("%s/%d@%d", p.Topic, p.Partition, p.Offset) }

// A RecordError says which record could not be processed, and where in the
// topology. It wraps the cause.
type RecordError struct {
	Position
	Node   string // the step that refused it, as Topology.String names it
	Policy Policy // what is to be done with the record
	Err    error
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("record %s: %s: %v", e.Position, e.Node, e.Err)
}

func (e *RecordError) Unwrap() error { return e.Err }
