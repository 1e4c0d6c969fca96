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

	table *table
	nodes map[*node]bool // what the group's tasks run
	order []*node        // the same, upstream first
}

// NewTask returns a task, which finds its rows through rows. The policies are
// the application's, for what the topic says nothing of.
func (g *Group) NewTask(rows Reader, application Policies) *Task {
	k := &Task{group: g, rows: rows, policies: g.table.input.policies.or(application)}
	k.start = g.table.input.start(k)
	return k
}

// run adds a node, and what leads to it.
func (g *Group) run(n *node) {
	for ; n != nil; n = n.up {
		g.nodes[n] = true
	}
}
