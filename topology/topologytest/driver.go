// Package topologytest runs a topology in memory, for tests of what it does:
// every partition, the real partitioner, no server, no goroutines.
package topologytest

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

// A Driver runs all partitions of a topology. What a record causes has happened
// when the call that sent it returns. Sinks are not run. It is not safe for
// concurrent use.
type Driver struct {
	t          testing.TB
	topo       *topology.Topology
	partitions int32
	tasks      []*task
	now        time.Time
	ends       map[topology.Position]int64 // with offset 0: how many records lie there
	published  map[string][]topology.Raw
	globals    map[string]*store // by name
	queue      []topology.Raw    // published, and not processed yet
	refused    []*topology.RecordError
	lines      []string // of a scenario, what records have caused
}

// A task is one partition of a group.
type task struct {
	*topology.Task
	group     *topology.Group
	partition int32
	stores    map[string]*store
}

// New returns a driver with a number of partitions for every topic. The time of
// records starts in 1970. At the end of the test it fails for each error that
// Errors has not returned.
func New(t testing.TB, topo *topology.Topology, partitions int) *Driver {
	t.Helper()
	if partitions < 1 {
		t.Fatalf("%d partitions, want 1 or more", partitions)
	}
	d := &Driver{
		t:          t,
		topo:       topo,
		partitions: int32(partitions),
		now:        time.UnixMilli(0).UTC(),
		ends:       map[topology.Position]int64{},
		published:  map[string][]topology.Raw{},
		globals:    map[string]*store{},
	}
	for _, g := range topo.Groups() {
		for _, gl := range g.Globals {
			d.globals[gl.Store] = &store{}
		}
		for p := range d.partitions {
			k := &task{group: g, partition: p, stores: map[string]*store{}}
			for i := range g.Stores {
				k.stores[g.Stores[i].Name] = &store{state: g.Stores[i]}
			}
			d.start(k, "")
			d.tasks = append(d.tasks, k)
		}
	}
	t.Cleanup(func() {
		for _, err := range d.Errors() {
			t.Errorf("an error that Errors was not asked for: %v", err)
		}
	})
	return d
}

// At sets the time of the records sent from now on; it may go back.
func (d *Driver) At(event time.Time) { d.now = event }

// Restart ends every task and starts it again from its changelogs, as a process
// that has lost its disk does.
func (d *Driver) Restart() {
	d.t.Helper()
	for _, k := range d.tasks {
		d.start(k, k.Clocks())
	}
}

func (d *Driver) start(k *task, clocks string) {
	d.t.Helper()
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
}

// Errors returns the records refused since the last call, whatever their
// policy. They have no effect, and what comes after them is processed.
func (d *Driver) Errors() []*topology.RecordError {
	errs := d.refused
	d.refused = nil
	return errs
}

// Send sends a record, to its key's partition. A nil value is a tombstone.
func Send[K, V any](d *Driver, to topology.Topic[K, V], key K, value V) {
	d.t.Helper()
	r, err := to.Encode(key, value)
	if err != nil {
		d.t.Fatal(err)
	}
	d.sendByKey(r)
}

// Delete sends a tombstone, to its key's partition.
func Delete[K, V any](d *Driver, to topology.Topic[K, V], key K) {
	d.t.Helper()
	none := topology.Topic[K, *V]{Name: to.Name, Key: to.Key, Value: codec.JSON[*V]{}}
	Send(d, none, key, nil)
}

func (d *Driver) sendByKey(r topology.Raw) {
	d.t.Helper()
	r.Partition = topology.Partition(r.Key, d.partitions)
	d.SendRaw(r)
}

// SendRaw sends a record as it is: with headers, to its Partition, or spoilt. A
// zero Time is replaced by the driver's, the Offset always.
func (d *Driver) SendRaw(r topology.Raw) {
	d.t.Helper()
	if r.Partition < 0 || r.Partition >= d.partitions {
		d.t.Fatalf("record %s: there are %d partitions", r.Position, d.partitions)
	}
	if r.Time.IsZero() {
		r.Time = d.now
	}
	if !d.reads(r.Topic) {
		d.t.Fatalf("topic %q: nothing reads it", r.Topic)
	}
	r.Offset = d.append(r.Position)
	d.queue = append(d.queue, r)
	for len(d.queue) > 0 {
		r, d.queue = d.queue[0], d.queue[1:]
		d.deliver(r)
	}
}

// reads tells whether some group, or global table, reads a topic.
func (d *Driver) reads(topic string) bool {
	for _, g := range d.topo.Groups() {
		if slices.Contains(g.Inputs, topic) || slices.ContainsFunc(g.Globals, func(x topology.Global) bool { return x.Topic == topic }) {
			return true
		}
	}
	return false
}

// deliver gives a record to everything that reads its topic.
func (d *Driver) deliver(r topology.Raw) {
	d.t.Helper()
	told := map[string]bool{} // global tables that several groups look at
	for _, g := range d.topo.Groups() {
		for _, x := range g.Globals {
			if x.Topic == r.Topic && r.Key != nil && !told[x.Store] {
				told[x.Store] = true
				d.globals[x.Store].put(topology.Row{Key: r.Key, Value: r.Value, Time: r.Time.UnixMilli()})
			}
		}
	}
	for _, k := range d.tasks {
		if k.partition == r.Partition && slices.Contains(k.group.Inputs, r.Topic) {
			w, err := k.Process(r)
			d.take(k, w, err)
		}
	}
}

// append returns the next offset of a partition.
func (d *Driver) append(p topology.Position) int64 {
	p.Offset = 0
	d.ends[p]++
	return d.ends[p] - 1
}

// take makes the writes of a call durable.
func (d *Driver) take(k *task, w topology.Writes, err error) {
	d.t.Helper()
	refused := &topology.RecordError{}
	if errors.As(err, &refused) {
		d.refused = append(d.refused, refused)
		d.note(Refusal(refused))
		return
	}
	if err != nil {
		d.t.Fatal(err)
	}
	for _, row := range w.Rows {
		s := k.stores[row.Store]
		s.put(row)
		if s.state.Table {
			d.note(Line(d.t, d.topo, topology.Raw{Key: row.Key, Value: row.Value, Position: topology.Position{Topic: row.Store}}))
		}
	}
	for _, out := range w.Records {
		r := out.Raw
		r.Key, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
		r.Partition = topology.Partition(out.PartitionKey, d.partitions)
		r.Offset = d.append(r.Position)
		if d.reads(r.Topic) {
			d.queue = append(d.queue, r)
		}
		d.published[r.Topic] = append(d.published[r.Topic], r)
		d.note(Line(d.t, d.topo, r))
	}
	if w.Dropped {
		d.note("dropped")
	}
}

func (d *Driver) note(line string) { d.lines = append(d.lines, line) }
