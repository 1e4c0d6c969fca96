package topology

import (
	"github.com/tidemark-dev/tidemark/codec"
)

// A Topic is a Kafka topic with keys of type K and values of type V, shared by
// whoever writes and whoever reads it. Records lie in the partition that Java's
// default partitioner gives their key, see [Partition].
type Topic[K, V any] struct {
	// Name is the topic's name on Kafka, without any prefix. Required.
	Name string

	// Key and Value encode and decode. Required of a topic that is read; of one
	// that is written they default to the codecs of what is written.
	Key   codec.Codec[K]
	Value codec.Codec[V]

	// Policies override the application's for records of this topic.
	Policies Policies
}

// A Store says where rows are kept: the table, its directory in LevelDB and its
// changelog topic. It is the handle by which rows are read.
type Store[K, V any] struct {
	// Name is unique in the topology. Required. The changelog topic is
	// <application>-<name>-table.
	Name string

	// Key and Value default to the codecs of what the rows are made from.
	Key   codec.Codec[K]
	Value codec.Codec[V]

	// EveryChange writes each change to the changelog. By default the last one
	// of a commit is written for each key.
	EveryChange bool
}

// A Policy says what happens to input that cannot be processed.
type Policy int

// Policies for bad input. The zero Policy means the application's, and there Fail.
const (
	Fail       Policy = iota + 1 // stop, and hand the error to the error handler
	Skip                         // drop and count
	DeadLetter                   // move to the topic <application>-dead-letters, in the same transaction
)

// Policies holds a policy for each place where input can be refused.
type Policies struct {
	Decode  Policy // bytes that a codec refuses
	Process Policy // records for which a function returns an error or panics
}
