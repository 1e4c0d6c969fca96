package processor

import (
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/follow"
	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/internal/notify"
	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/topology"
)

// A kept is one store of a task: a partition of it in LevelDB, one of its
// changelog topic, and who follows that. It is guarded as the task is.
type kept struct {
	*task
	*topology.StateStore
	store     *store.Store                // nil while it is not open
	view      atomic.Pointer[store.Store] // the same, once the task is ready
	source    string                      // the changelog's incarnation
	filled    bool                        // the changelog has had rows before this task
	followers []*follow.Follower
	left      atomic.Int64 // changelog offsets still to restore
	news      notify.Bell  // rows were committed, or the view has gone
}

func newKept(t *task, of *topology.StateStore) *kept {
	k := &kept{task: t, StateStore: of}
	k.left.Store(-1)
	for n, sink := range k.Sinks {
		k.followers = append(k.followers, newFollower(k, t.answered[sinkID{k.Name, n}], sink))
	}
	return k
}

func (k *kept) changelog() kafka.Log {
	return kafka.Log{Client: k.client, Topic: k.Changelog, Partition: k.partition}
}

// String names the partition of the store.
func (k *kept) String() string { return fmt.Sprintf("%s/%d", k.Name, k.partition) }

func (k *kept) close() error {
	if k.store == nil {
		return nil
	}
	s := k.store
	k.view.Store(nil)
	k.news.Ring()
	k.store = nil
	return s.Close(k.phase.Load() == closed && k.session.ctx.Err() == nil)
}

// committed takes over what the transaction has committed.
func (k *kept) committed() error {
	end, written := k.producer.End(k.Changelog, k.partition)
	if !written {
		return nil
	}
	if at := k.store.Position(); end <= at {
		return &staleError{fmt.Errorf("changelog %s/%d ends at %d, and has been at %d: was the topic made anew?", k.Changelog, k.partition, end, at)}
	}
	if err := k.store.Commit(end); err != nil {
		return fmt.Errorf("store %s: %w", k, err)
	}
	k.news.Ring()
	for _, f := range k.followers {
		f.Committed(end)
	}
	return nil
}

// sendRows queues the rows that are not yet on their way to the changelog, if
// there are more than keep. They are pinned to the task's partition, whatever
// their keys are.
func (k *kept) sendRows(keep int) bool {
	if k.store == nil || k.store.Waiting() <= keep {
		return false
	}
	rows := k.store.Unsent()
	records := make([]sarama.Record, len(rows))
	sent, times := make([]*sarama.Record, len(rows)), make([]int64, len(rows))
	for i := range rows {
		k.checkPartition(rows[i].Key)
		records[i].Key, records[i].Value = rows[i].Key, rows[i].Value
		sent[i], times[i] = &records[i], rows[i].Time
	}
	k.producer.Send(k.Changelog, k.partition, sent, times)
	k.counts.rows.Add(int64(len(rows)))
	return true
}

// checkPartition notices an input that is not partitioned as Java does. All
// works on such an input, as rows are pinned to the partition of their records,
// but it is not known any more where a key is to be found.
func (k *kept) checkPartition(key []byte) {
	if k.store.Stray() {
		return
	}
	p := partitionOfRow(k.StateStore, key, k.partitions)
	if p == k.partition {
		return
	}
	if k.noteStray() {
		k.log.Warn("input is not partitioned by murmur2 of the key, as Java does: a lookup of a key that is nowhere asks all instances, and a rebuilt sink keeps what the table has deleted meanwhile. Set partitioner=murmur2_random at a producer that uses librdkafka",
			"topics", k.group.Inputs, "store", k.Name, "key", string(key), "partition", k.partition, "murmur2", p)
	}
	if err := k.store.NoteStray(); err != nil {
		k.log.Error("noting that in the local store", "error", err)
	}
}

// partitionOfRow returns where a row of a store belongs, among n partitions.
func partitionOfRow(s *topology.StateStore, key []byte, n int32) int32 {
	if s.PartitionKey != nil {
		key = s.PartitionKey(key)
	}
	return topology.Partition(key, n)
}

// taskRows show a topology.Task the rows of a store.
type taskRows struct {
	*store.Store
	name string
}

func (r taskRows) Scan(from, to []byte) iter.Seq2[topology.Row, error] {
	return r.named(r.Store.Scan(from, to))
}

func (r taskRows) Due() iter.Seq2[topology.Row, error] { return r.named(r.Store.Due()) }

func (r taskRows) named(rows iter.Seq2[store.Row, error]) iter.Seq2[topology.Row, error] {
	return func(yield func(topology.Row, error) bool) {
		for row, err := range rows {
			if !yield(topology.Row{Store: r.name, Key: row.Key, Value: row.Value, Time: row.Time}, err) {
				return
			}
		}
	}
}
