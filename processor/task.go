package processor

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/internal/txn"
	"github.com/tidemark-dev/tidemark/topology"
)

// A task owns one partition: one stock goka.Processor around the pure task of
// the topology, and the store of its group table. The fields below the line are
// guarded by the session's gate: a batch in process holds it for reading and is
// the only one to write them while a commit, which holds it for writing, is not.
type task struct {
	*session
	partition int32
	claim     sarama.ConsumerGroupClaim
	core      *topology.Task
	store     *store.Store                // nil while it is not open
	view      atomic.Pointer[store.Store] // the same, once it is restored
	source    string                      // the changelog's incarnation
	opening   error                       // why the store could not be opened
	followers []*follower
	batches   chan []*sarama.ConsumerMessage

	ctx    context.Context // ends when the partition is revoked, or with the session
	revoke context.CancelFunc
	stop   context.CancelFunc // ends goka's Run

	releasing atomic.Bool  // the next commit is the task's last
	left      atomic.Int64 // changelog offsets still to restore
	progress  atomic.Int64 // committed input offset

	// ---
	own      bool  // the partition is marked as ours
	claiming bool  // the next commit marks it
	last     bool  // the commit under way is the task's last
	closed   bool  // no effects any more
	records  int   // processed in the open transaction
	next     int64 // input offset to commit
}

func newTask(s *session, claim sarama.ConsumerGroupClaim) *task {
	t := &task{session: s, partition: claim.Partition(), claim: claim, batches: make(chan []*sarama.ConsumerMessage, 32)}
	t.ctx, t.revoke = context.WithCancel(s.ctx)
	t.progress.Store(-1)
	t.left.Store(-1)
	for _, sink := range s.group.Sinks {
		t.followers = append(t.followers, newFollower(t, sink))
	}
	return t
}

// ready tells whether the table is restored and served.
func (t *task) ready() bool { return t.view.Load() != nil }

func (t *task) changelog() txn.Log {
	return txn.Log{Client: t.client, Topic: t.group.Table, Partition: t.partition}
}

// begin marks the partition as ours, before its first record is processed.
func (t *task) begin() error {
	t.next = t.claim.InitialOffset()
	if t.next < 0 {
		start, err := t.client.GetOffset(t.group.Input, t.partition, sarama.OffsetOldest)
		if err != nil {
			return fmt.Errorf("start of %s/%d: %w", t.group.Input, t.partition, err)
		}
		t.next = start
	}
	t.progress.Store(t.next)
	for { // one commit may mark several tasks
		t.gate.Lock()
		revoked := t.ctx.Err()
		if t.claiming = !t.own && revoked == nil; t.claiming && !t.balance.joining.Load() {
			t.commit()
		}
		own := t.own
		t.gate.Unlock()
		if own {
			return nil
		}
		if revoked != nil {
			return revoked // and unmarked, for a mark would have the next owner fence us
		}
		_ = sleep(t.ctx, 5*time.Millisecond)
	}
}

// release ends the task's part in the transaction: its progress is committed,
// and the partition is marked as nobody's.
func (t *task) release() {
	t.releasing.Store(true)
	t.gate.Lock()
	defer t.gate.Unlock()
	if !t.closed {
		t.commit() // of all tasks that are being released
	}
	t.closed = true
}

// giveBack marks a partition as nobody's that was ours from before, and of which
// no record was processed.
func (t *task) giveBack() error {
	err := t.closeStore() // what it has restored is nothing to write
	if t.next = t.claim.InitialOffset(); t.next >= 0 {
		t.release()
	}
	return err
}

// takesPart tells whether the task has something for the next commit.
func (t *task) takesPart() bool {
	return !t.closed && (t.records > 0 || t.claiming || t.releasing.Load() && t.own)
}

// committed takes over what the transaction has committed.
func (t *task) committed() error {
	defer func(records int64) {
		t.counts.records.Add(records) // last: who sees these finds the rows in a view
		t.progress.Store(t.next)
	}(int64(t.records))
	t.records, t.claiming = 0, false
	t.own, t.closed = !t.last, t.last
	end, written := t.producer.End(t.group.Table, t.partition)
	if !written {
		return nil
	}
	if at := t.store.Position(); end <= at {
		return fmt.Errorf("changelog %s/%d ends at %d, and has been at %d: was the topic made anew?", t.group.Table, t.partition, end, at)
	}
	if err := t.store.Commit(end); err != nil {
		return fmt.Errorf("table %s/%d: %w", t.group.Store, t.partition, err)
	}
	for _, f := range t.followers {
		f.committed(end)
	}
	return nil
}

// process runs a batch of records, which are in the transaction together or
// not at all.
func (t *task) process(batch []*sarama.ConsumerMessage) {
	t.gate.RLock()
	defer t.gate.RUnlock()
	if t.closed || t.session.ctx.Err() != nil {
		return
	}
	for _, m := range batch {
		if err := t.record(m); err != nil {
			t.fail(err)
			return
		}
	}
	if t.sendRows(sendRows) {
		t.producer.Push()
	}
	first := t.records == 0
	t.next = batch[len(batch)-1].Offset + 1
	if t.records += len(batch); first {
		select {
		case t.opened <- struct{}{}:
		default:
		}
	}
}

func (t *task) record(m *sarama.ConsumerMessage) error {
	r := topology.Raw{
		Key: m.Key, Value: m.Value, Time: m.Timestamp,
		Position: topology.Position{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset},
	}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, topology.Header{Key: string(h.Key), Value: h.Value})
	}
	w, err := t.core.Process(r)
	if err != nil {
		return t.refused(r, err)
	}
	for i := range w.Rows {
		t.store.Put(w.Rows[i].Key, w.Rows[i].Value, w.Rows[i].Time)
	}
	for i := range w.Records {
		if err := t.publish(&w.Records[i].Raw); err != nil {
			return err
		}
	}
	if w.Dropped {
		t.counts.dropped.Add(1)
	}
	return nil
}

func (t *task) publish(r *topology.Raw) error {
	partition, err := t.partitionOf(r.Topic, r.Key)
	if err != nil {
		return err
	}
	var headers []*sarama.RecordHeader
	for _, h := range r.Headers {
		headers = append(headers, &sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
	}
	t.producer.Publish(r.Topic, partition, r.Key, r.Value, headers, millis(r.Time))
	t.counts.published.Add(1)
	return nil
}

// sendRows queues the rows that are not yet on their way to the changelog, if
// there are more than keep. They are pinned to the task's partition, whatever
// their keys are.
func (t *task) sendRows(keep int) bool {
	if t.store == nil || t.store.Waiting() <= keep {
		return false
	}
	rows := t.store.Unsent()
	records := make([]sarama.Record, len(rows))
	sent, times := make([]*sarama.Record, len(rows)), make([]int64, len(rows))
	for i := range rows {
		t.checkPartition(rows[i].Key)
		records[i].Key, records[i].Value = rows[i].Key, rows[i].Value
		sent[i], times[i] = &records[i], rows[i].Time
	}
	t.producer.Send(t.group.Table, t.partition, sent, times)
	t.counts.rows.Add(int64(len(rows)))
	return true
}

// checkPartition notices a journal that is not partitioned as Java does. All
// works on such a journal, as rows are pinned to the partition of their
// records, but it is not known any more where a key is to be found.
func (t *task) checkPartition(key []byte) {
	if t.store.Stray() {
		return
	}
	if p := topology.Partition(key, t.partitions); p != t.partition {
		t.log.Warn("input is not partitioned by murmur2 of the key, as Java does: a lookup by key finds only what this instance has, and a rebuilt sink keeps what the table has deleted meanwhile",
			"topic", t.group.Input, "key", string(key), "partition", t.partition, "murmur2", p)
		if err := t.store.NoteStray(); err != nil {
			t.log.Error("noting that in the local table", "error", err)
		}
	}
}

// refused does with a record what its policy says, or returns the error.
func (t *task) refused(r topology.Raw, err error) error {
	var e *topology.RecordError
	if !errors.As(err, &e) {
		return fmt.Errorf("record %s: %w", r.Position, err)
	}
	switch e.Policy {
	case topology.Skip:
		t.counts.skipped.Add(1)
		t.log.Warn("record skipped", "error", e)
		return nil
	case topology.DeadLetter:
		t.counts.deadLetters.Add(1)
		t.log.Warn("record moved to dead letters", "error", e)
		return t.deadLetter(r, e)
	default:
		return e
	}
}

// deadLetter publishes a record as it was, in the open transaction, with the
// reason and its place in headers.
func (t *task) deadLetter(r topology.Raw, e *topology.RecordError) error {
	topic := t.deadLetters()
	if err := t.ensureDeadLetters(topic); err != nil {
		return err
	}
	r.Headers = append(r.Headers,
		topology.Header{Key: "tidemark-topic", Value: []byte(r.Topic)},
		topology.Header{Key: "tidemark-partition", Value: fmt.Append(nil, r.Partition)},
		topology.Header{Key: "tidemark-offset", Value: fmt.Append(nil, r.Offset)},
		topology.Header{Key: "tidemark-node", Value: []byte(e.Node)},
		topology.Header{Key: "tidemark-error", Value: []byte(e.Err.Error())})
	r.Topic = topic
	return t.publish(&r)
}

// millis is a time as Kafka writes it; now, if there is none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return time.Now().UnixMilli()
	}
	return t.UnixMilli()
}
