package topology

// A Group is a part of a topology that runs on its own, as one Kafka consumer
// group. Partitions with one number, of all its inputs, make one [Task]: so the
// rows of a key, and whatever meets them, are in one place. One table is one
// group with one changelog topic, unless it is joined with, or derived from,
// another table: these are in one group. What leads from a topic to a table and
// keeps nothing itself runs in the group of the table, and in several groups if
// it leads to several tables. What keeps nothing at all is one group for each
// topic that it reads.
type Group struct {
	// Name is the consumer group: <application>-<the first of its tables by name>;
	// without a table the first of its stores, without those the first input.
	Name string

	// Inputs are the topics that are read, sorted.
	Inputs []string

	// Stores are what is kept: tables first, both by name.
	Stores []StateStore

	// Globals are the global tables that are looked at, by name of their stores.
	Globals []Global

	// Outputs are the topics that are published to, sorted, without those that
	// Route chooses.
	Outputs []string

	nodes  map[*node]bool // what the group's tasks run
	order  []*node        // the same, upstream first
	inputs map[string]*input
}

// A Global is a global table: every instance keeps all partitions of its topic,
// which is its changelog as well.
type Global struct {
	Store, Topic string

	policies Policies
	read     func(key, value []byte) (missing bool, err error)
}

// A RepartitionTopic is a topic that the processor creates, because records go through
// it from one group to another.
type RepartitionTopic struct {
	Topic      string
	Partitions int32 // 0 for as many as it needs, see Topology.Partitions
}
