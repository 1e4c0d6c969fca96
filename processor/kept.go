package processor

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"strconv"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/follow"
	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/internal/replica"
	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/topology"
)

// A kept is one store of a task: the replica of a partition of its changelog, which
// the task writes, and the followers that bring it to sinks. It is guarded as the
// task is.
type kept struct {
	task      *task
	spec      *topology.StateStore
	replica   *replica.Replica // for readers
	store     *store.Store     // for the task; nil while the replica is not open
	followers []*follow.Follower
}

func newKept(t *task, spec *topology.StateStore) *kept {
	k := &kept{task: t, spec: spec}
	k.replica = replica.New(replica.Config{
		Table: spec.Name, Topic: spec.Changelog, Partition: t.partition,
		Dir:       filepath.Join(t.processor.config.StateDir, spec.Name, strconv.Itoa(int(t.partition))),
		Retention: t.processor.topics.retention[spec.Changelog],
		Options: store.Options{
			EveryChange: spec.EveryChange, Ordered: spec.Ordered,
			Deadline: spec.Deadline, DeadlineName: spec.DeadlineName, DeadlineByKey: spec.DeadlineByKey,
			Failed: func(err error) { t.session.fail(fmt.Errorf("store %s: %w", k, err)) }, // the next session wipes it
		},
		Log:   func(int32) replica.Log { return k.changelog() },
		Waits: t.processor.waits, Logger: t.log,
	})
	for n, sink := range spec.Sinks {
		k.followers = append(k.followers, newFollower(k, t.processor.answered[sinkID{spec.Name, n}], sink))
	}
	return k
}

func (k *kept) changelog() kafka.Log {
	return kafka.Log{Client: k.task.processor.client, Topic: k.spec.Changelog, Partition: k.task.partition}
}

// String names the partition of the store.
func (k *kept) String() string { return fmt.Sprintf("%s/%d", k.spec.Name, k.task.partition) }

// serve shows the rows to views.
func (k *kept) serve() { k.replica.Serve() }

func (k *kept) close() error {
	k.store = nil
	return k.replica.Close(k.task.phase.Load() == closed && k.task.session.ctx.Err() == nil)
}

// committed takes over what the transaction has committed.
func (k *kept) committed() error {
	end, written := k.task.session.producer.End(k.spec.Changelog, k.task.partition)
	if !written {
		return nil
	}
	if at := k.store.Position(); end <= at {
		return &staleError{fmt.Errorf("changelog %s ends at %d, and has been at %d: was the topic created again?", k.changelog(), end, at)}
	}
	if err := k.replica.Commit(end); err != nil {
		return err
	}
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
	k.task.session.producer.Send(k.spec.Changelog, k.task.partition, sent, times)
	k.task.processor.counts.rows.Add(int64(len(rows)))
	return true
}

// checkPartition notices an input that is not partitioned as Java does. Everything
// works on such an input, as rows are pinned to the partition of their records, but
// it is no longer known where a key is to be found.
func (k *kept) checkPartition(key []byte) {
	t := k.task
	if k.store.Stray() {
		return
	}
	p := partitionOfRow(k.spec, key, t.member.partitions)
	if p == t.partition {
		return
	}
	if t.member.noteStray() {
		t.log.Warn("input is not partitioned by murmur2 of the key, as Java does: a lookup of a key that is nowhere asks all instances, and a rebuilt sink keeps what the table has deleted meanwhile. Set partitioner=murmur2_random at a producer that uses librdkafka",
			"topics", t.group.Inputs, "store", k.spec.Name, "key", string(key), "partition", t.partition, "murmur2", p)
	}
	if err := k.store.NoteStray(); err != nil {
		t.log.Error("noting that in the local store", "error", err)
	}
}

// partitionOfRow returns where a row of a store belongs, among n partitions.
func partitionOfRow(s *topology.StateStore, key []byte, n int32) int32 {
	if s.PartitionKey != nil {
		key = s.PartitionKey(key)
	}
	return topology.Partition(key, n)
}

// Changes, Snapshot, Belongs and Strays are for followers.

// Changes hands over rows of the changelog.
func (k *kept) Changes(ctx context.Context, from, end int64, row func(topology.Raw) error, reached func(next int64) error) error {
	return k.replica.Changes(ctx, from, end, row, reached)
}

// Snapshot returns the rows as of now.
func (k *kept) Snapshot() (*store.Snapshot, error) { return k.replica.Snapshot() }

// Belongs tells whether a row is expected in this partition.
func (k *kept) Belongs(key []byte) bool {
	return partitionOfRow(k.spec, key, k.task.member.partitions) == k.task.partition
}

// Strays tells whether rows are known to be in unexpected partitions.
func (k *kept) Strays(ctx context.Context) (bool, error) { return k.task.member.strays(ctx) }

// taskRows show a topology.Task the rows of a store.
type taskRows struct {
	store *store.Store
	name  string
}

func (r taskRows) Get(key []byte) (value []byte, time int64, err error) { return r.store.Get(key) }

func (r taskRows) Scan(from, to []byte) iter.Seq2[topology.Row, error] {
	return r.named(r.store.Scan(from, to))
}

func (r taskRows) Due() iter.Seq2[topology.Row, error] { return r.named(r.store.Due()) }

func (r taskRows) named(rows iter.Seq2[store.Row, error]) iter.Seq2[topology.Row, error] {
	return func(yield func(topology.Row, error) bool) {
		for row, err := range rows {
			if !yield(topology.Row{Store: r.name, Key: row.Key, Value: row.Value, Time: row.Time}, err) {
				return
			}
		}
	}
}
