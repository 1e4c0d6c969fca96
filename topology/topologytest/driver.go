// Package topologytest runs a topology in memory, for tests of what it does:
// every partition, the real partitioner, no server, no goroutines.
package topologytest

import (
	"bytes"
	"errors"
	"maps"
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
	refused    []*topology.RecordError
	lines      []string // of a scenario, what records have caused
}

// A task is one partition of a group, with its rows.
type task struct {
	*topology.Task
	group     *topology.Group
	partition int32
	rows      map[string][]byte
	changelog map[string][]byte // the last value of each key
}

// Get makes a task the Reader of its own rows.
func (k *task) Get(key []byte) ([]byte, error) { return k.rows[string(key)], nil }

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
	}
	for _, g := range topo.Groups() {
		for p := range d.partitions {
			d.tasks = append(d.tasks, &task{group: g, partition: p, changelog: map[string][]byte{}})
		}
	}
	d.Restart()
	t.Cleanup(func() {
		for _, err := range d.Errors() {
			t.Errorf("an error that Errors was not asked for: %v", err)
		}
	})
	return d
}

// At sets the time of the records sent from now on; it may go back.
func (d *Driver) At(event time.Time) { d.now = event }

// Restart ends every task and starts it again from its changelog, as a process
// that has lost its disk does.
func (d *Driver) Restart() {
	for _, k := range d.tasks {
		k.rows = maps.Clone(k.changelog)
		k.Task = k.group.NewTask(k, topology.Policies{})
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
	r.Offset = d.append(r.Position)
	read := false
	for _, k := range d.tasks {
		if k.group.Input == r.Topic && k.partition == r.Partition {
			read = true
			d.process(k, r)
		}
	}
	if !read {
		d.t.Fatalf("topic %q: nothing reads it", r.Topic)
	}
}

// append returns the next offset of a partition.
func (d *Driver) append(p topology.Position) int64 {
	p.Offset = 0
	d.ends[p]++
	return d.ends[p] - 1
}

// process runs a record and makes its writes durable.
func (d *Driver) process(k *task, r topology.Raw) {
	d.t.Helper()
	w, err := k.Process(r)
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
		if row.Topic = k.group.Store; row.Value == nil {
			delete(k.rows, string(row.Key))
			delete(k.changelog, string(row.Key))
		} else {
			k.rows[string(row.Key)] = bytes.Clone(row.Value)
			k.changelog[string(row.Key)] = bytes.Clone(row.Value)
		}
		d.note(Line(d.t, d.topo, row))
	}
	for _, out := range w.Records {
		out.Key, out.Value = bytes.Clone(out.Key), bytes.Clone(out.Value)
		out.Partition = topology.Partition(out.Key, d.partitions)
		out.Offset = d.append(out.Position)
		d.published[out.Topic] = append(d.published[out.Topic], out)
		d.note(Line(d.t, d.topo, out))
	}
	if w.Dropped {
		d.note("dropped")
	}
}

func (d *Driver) note(line string) { d.lines = append(d.lines, line) }
