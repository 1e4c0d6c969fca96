// Package inputs brings a session the records of its input partitions, and says
// which of several comes next.
package inputs

import (
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// An Input is one partition of one input topic: what a Fetcher has brought of it,
// and how far its task is. The Fetcher fills the queue. The task calls the methods, one
// at a time, but for those that say that they are safe for concurrent use.
//
// At most two answers of a broker are in memory: the one that the task processes
// and the next one, which is fetched meanwhile.
type Input struct {
	topic     string
	partition int32
	arrived   func() // wakes the task: there are records, or it is known that there are none

	// Of the fetcher, guarded by its lock.
	cursor *kafka.Cursor // of the leader's reader
	leader int32
	epoch  int32          // of the last leader
	failed int            // times in a row
	reason *sarama.KError // of the last failure, 0 if it was no answer
	since  time.Time      // when the first of those was that had this reason

	mu      sync.Mutex
	room    func()        // wakes the reader
	queue   []kafka.Batch // the next answer
	fetched int64         // where the next request begins
	stable  int64         // the end of what is decided, as of the last answer
	known   bool          // the last request was answered
	last    int64         // behind the last record that was queued
	done    int64         // offset that is committed, -1 before the first record

	// Of the task.
	batches []kafka.Batch // what it processes: at is the next record of the first
	at      int
	head    topology.Raw // that record, if it was looked at
	looked  bool
	when    time.Time // of head
	next    int64     // offset to commit
	dry     time.Time // since when there is known to be nothing
	excused bool      // others need not wait for it
}

// New returns the input of a partition, of which an offset is committed, or -1 if
// none is. arrived must not block.
func New(topic string, partition int32, committed int64, arrived func()) *Input {
	return &Input{topic: topic, partition: partition, arrived: arrived, next: committed, done: -1, leader: nobody, epoch: -1, room: func() {}}
}

// Start says where reading begins. It comes before the input is given to a Fetcher.
func (in *Input) Start(from int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.next, in.fetched, in.last, in.done = from, from, from, from
}

// Topic returns the topic's name.
func (in *Input) Topic() string { return in.topic }

// Partition returns the partition's number.
func (in *Input) Partition() int32 { return in.partition }

func (in *Input) String() string { return fmt.Sprintf("%s/%d", in.topic, in.partition) }

// Next returns the offset to commit, negative if nothing was ever read. After the last
// record it is past the markers of transactions and the aborted records that follow.
func (in *Input) Next() int64 {
	if len(in.batches) == 0 && in.next >= 0 {
		in.mu.Lock()
		defer in.mu.Unlock()
		if len(in.queue) == 0 {
			in.next = max(in.next, in.fetched)
		}
	}
	return in.next
}

// Committed notes that the offset that Next has returned is committed.
func (in *Input) Committed() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.done = in.next
}

// Position returns the committed offset, -1 before the task has begun. It is safe
// for concurrent use.
func (in *Input) Position() topology.Position {
	in.mu.Lock()
	defer in.mu.Unlock()
	return topology.Position{Topic: in.topic, Partition: in.partition, Offset: in.done}
}

// Lag returns how many offsets are still to commit, 0 if only markers of
// transactions and aborted records are left. It is safe for concurrent use.
func (in *Input) Lag() int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.done < 0:
		return 0
	case in.done >= in.last:
		return max(0, in.stable-max(in.done, in.fetched))
	}
	return max(0, in.stable-in.done)
}

// end returns the end of what is decided, as of the last answer of the broker; 0
// before the first.
func (in *Input) end() int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.stable
}

// coming tells whether nothing is here, and more on the broker.
func (in *Input) coming() bool {
	if len(in.batches) > 0 {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.queue) == 0 && in.fetched < in.stable
}

// empty tells whether the broker is known to have nothing that is not here.
func (in *Input) empty() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.known && len(in.queue) == 0 && in.fetched >= in.stable
}

// fill tells whether there is a record, and takes the next answer if it must.
func (in *Input) fill() bool {
	if len(in.batches) > 0 {
		return true
	}
	in.mu.Lock()
	in.batches, in.queue = in.queue, nil
	room := in.room
	in.mu.Unlock()
	if len(in.batches) == 0 {
		return false
	}
	room()
	return true
}

// Record returns the record that is next, until Pass is called. It is that of
// [Merge.Next].
func (in *Input) Record() *topology.Raw {
	if !in.looked {
		in.head, in.looked = in.raw(), true
	}
	return &in.head
}

// raw is the next record as the topology takes it.
func (in *Input) raw() topology.Raw {
	m, offset, at := in.batches[0].At(in.at)
	r := topology.Raw{
		Key: m.Key, Value: m.Value, Time: at,
		Position: topology.Position{Topic: in.topic, Partition: in.partition, Offset: offset},
	}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, topology.Header{Key: string(h.Key), Value: h.Value})
	}
	return r
}

// Pass goes on behind the record that is next, which is processed.
func (in *Input) Pass() {
	in.next = in.Record().Offset + 1
	in.head, in.looked = topology.Raw{}, false
	if in.at++; in.at < in.batches[0].Len() {
		return
	}
	in.batches[0] = kafka.Batch{}
	in.batches, in.at = in.batches[1:], 0
}

// take queues an answer of the broker.
func (in *Input) take(batches []kafka.Batch, next, stable int64) {
	in.mu.Lock()
	was := in.known && in.fetched >= in.stable
	in.queue = append(in.queue, batches...)
	if n := len(batches); n > 0 {
		_, offset, _ := batches[n-1].At(batches[n-1].Len() - 1)
		in.last = offset + 1
	}
	in.fetched, in.stable, in.known = next, stable, true
	news := len(batches) > 0 || !was && next >= stable
	in.mu.Unlock()
	if news {
		in.arrived()
	}
}

// lose notes that nothing is known any more of what the broker has.
func (in *Input) lose() {
	in.mu.Lock()
	in.known = false
	in.mu.Unlock()
}

// full tells whether an answer waits to be processed.
func (in *Input) full() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.queue) > 0
}
