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
// when the call that sent it returns; what is published to a topic that the
// topology reads is processed in the same call. Records are processed in the order
// in which they are sent, whatever their times are. Sinks are not run. It is not
// safe for concurrent use.
//
// It has two clocks, which know nothing of each other. [Driver.At] sets the time
// of the records that are sent from then on; stream time, which windows and the
// timers by it follow, is the newest time of the records that a task has seen,
// and stands still without records. [Driver.Advance] moves the time of day, which
// nothing follows but timers by it. Both start in 1970.
type Driver struct {
	t          testing.TB
	topo       *topology.Topology
	partitions int32
	tasks      []*task
	event      time.Time                   // of the next record
	wall       time.Time                   // the time of day
	ends       map[topology.Position]int64 // with offset 0: how many records lie there
	published  map[string][]topology.Raw
	globals    map[string]*store // by name
	queue      []topology.Raw    // published, and not processed yet
	refused    []*topology.RecordError
	noting     bool     // a scenario runs
	lines      []string // what its records have caused
}

// New returns a driver with a number of partitions for every topic. At the end of
// the test it fails for each error that Errors has not returned.
func New(t testing.TB, topo *topology.Topology, partitions int) *Driver {
	t.Helper()
	if partitions < 1 {
		t.Fatalf("%d partitions, want 1 or more", partitions)
	}
	d := &Driver{
		t:          t,
		topo:       topo,
		partitions: int32(partitions),
		event:      time.UnixMilli(0).UTC(),
		wall:       time.UnixMilli(0).UTC(),
		ends:       map[topology.Position]int64{},
		published:  map[string][]topology.Raw{},
		globals:    map[string]*store{},
	}
	for _, g := range topo.Groups() {
		for _, gl := range g.Globals {
			d.globals[gl.Store] = &store{}
		}
		for p := range d.partitions {
			k := &task{group: g, partition: p, changelogs: map[string]changelog{}}
			for _, s := range g.Stores {
				k.changelogs[s.Name] = changelog{}
			}
			d.tasks = append(d.tasks, k)
			d.start(k, "")
		}
	}
	t.Cleanup(func() {
		for _, err := range d.Errors() {
			t.Errorf("an error that Errors was not asked for: %v", err)
		}
	})
	return d
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
		r.Time = d.event
	}
	if !d.reads(r.Topic) {
		d.t.Fatalf("topic %q: nothing reads it", r.Topic)
	}
	r.Offset = d.append(r.Position)
	d.queue = append(d.queue, r)
	d.run()
}

// run processes what is in the queue, and what comes of it.
func (d *Driver) run() {
	d.t.Helper()
	for len(d.queue) > 0 {
		r := d.queue[0]
		d.queue = d.queue[1:]
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
		d.note(func() string { return Refusal(refused) })
		return
	}
	if err != nil {
		d.t.Fatal(err)
	}
	for _, row := range w.Rows {
		s := k.stores[row.Store]
		s.put(row)
		k.changelogs[row.Store].append(row)
		if s.state.Table {
			d.note(func() string {
				return Line(d.t, d.topo, topology.Raw{Key: row.Key, Value: row.Value, Position: topology.Position{Topic: row.Store}})
			})
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
		d.note(func() string { return Line(d.t, d.topo, r) })
	}
	if w.Dropped {
		d.note(func() string { return "dropped" })
	}
}

// note writes down what a scenario has caused.
func (d *Driver) note(line func() string) {
	if d.noting {
		d.lines = append(d.lines, line())
	}
}
