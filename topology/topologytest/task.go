package topologytest

import (
	"time"

	"github.com/tidemark-dev/tidemark/topology"
)

// A task is one partition of a group.
type task struct {
	*topology.Task
	group      *topology.Group
	partition  int32
	stores     map[string]*store
	changelogs map[string]changelog
}

// Restart ends every task and starts it again from what is on Kafka: its
// changelogs, and the clocks that were committed. So does a process that has lost
// its disk. What a step of the program's own keeps in variables is gone.
func (d *Driver) Restart() {
	d.t.Helper()
	for _, k := range d.tasks {
		d.start(k, k.Clocks())
	}
}

// Move does what Restart does with the tasks of one partition only, as if another
// instance took it over.
func (d *Driver) Move(partition int) {
	d.t.Helper()
	if partition < 0 || partition >= int(d.partitions) {
		d.t.Fatalf("partition %d: there are %d", partition, d.partitions)
	}
	for _, k := range d.tasks {
		if int(k.partition) == partition {
			d.start(k, k.Clocks())
		}
	}
}

// start starts a task, whose first timers by the time of day are then known.
func (d *Driver) start(k *task, clocks string) {
	d.t.Helper()
	k.stores = map[string]*store{}
	for _, s := range k.group.Stores {
		k.stores[s.Name] = k.changelogs[s.Name].restored(s)
	}
	open := func(name string) topology.Rows {
		if s, ok := k.stores[name]; ok {
			return s
		}
		return d.globals[name]
	}
	var err error
	if k.Task, err = k.group.NewTask(k.partition, open, clocks, topology.Policies{}); err != nil {
		d.t.Fatal(err)
	}
	k.Now = func() time.Time { return d.wall }
	if _, timed := k.NextAdvance(); timed {
		d.advance(k)
	}
}
