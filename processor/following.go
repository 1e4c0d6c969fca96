package processor

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/follow"
	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/topology"
)

// newFollower returns what brings a store to one of its sinks.
func newFollower(k *kept, answered *atomic.Bool, sink topology.Sink) *follow.Follower {
	return follow.New(follow.Config{
		Sink:  sink,
		From:  topology.Source{Table: k.Name, Partition: k.partition, Format: k.Format},
		Table: followedTable{k}, Session: followedSession{k.task},
		Write: k.config.Policies.Write, Retention: k.topics.retention[k.Changelog],
		Patience: k.config.StartTimeout, Answered: answered,
		Counters: &k.counts.sinks, Waits: k.waits, Log: k.log,
	})
}

// follow starts the task's followers, before its first record.
func (t *task) follow() {
	owner := topology.Owner{Application: t.topology.Application(), Cluster: t.clusterID()} // known by now
	for _, k := range t.stores {
		for _, f := range k.followers {
			f.Start(t.session.ctx, owner, k.source, k.store.Position())
		}
	}
}

// unfollow ends the followers. When the instance stops they first bring over
// what is committed, unless their target is in trouble.
func (t *task) unfollow() {
	for _, k := range t.stores {
		for _, f := range k.followers {
			f.Stop(t.stopping())
		}
	}
}

// followedTable is a store as its followers see it.
type followedTable struct{ kept *kept }

func (t followedTable) Changes(ctx context.Context, from, end int64, row func(topology.Raw) error, reached func(next int64) error) error {
	k := t.kept
	return k.changelog().ReadTo(ctx, from, end, func(r *sarama.Record, offset int64, at time.Time) error {
		return row(topology.Raw{Key: r.Key, Value: r.Value, Time: at, Position: topology.Position{Topic: k.Changelog, Partition: k.partition, Offset: offset}})
	}, func(next, _ int64) error { return reached(next) })
}

func (t followedTable) Snapshot() (*store.Snapshot, error) { return t.kept.store.Snapshot() }

func (t followedTable) Belongs(key []byte) bool {
	k := t.kept
	return partitionOfRow(k.StateStore, key, k.partitions) == k.partition
}

func (t followedTable) Strays(ctx context.Context) (bool, error) { return t.kept.strays(ctx) }

// followedSession is the task's session as its followers see it.
type followedSession struct{ task *task }

func (s followedSession) Owns() error { return s.task.owns() }

func (s followedSession) Concerns(err error) bool {
	c, _ := classify(err)
	return as[sarama.KError](err) && c != passing || c == storeError || c == recordError
}

func (s followedSession) Fail(err error) { s.task.fail(err) }
func (s followedSession) End(err error)  { s.task.fail(&startError{err}) }

func (s followedSession) DeadLetter(ctx context.Context, row topology.Raw, why error) error {
	return s.task.copyToDeadLetters(ctx, row, why)
}
