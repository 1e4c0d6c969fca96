package processor

import (
	"context"
	"sync/atomic"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/follow"
	"github.com/tidemark-dev/tidemark/topology"
)

// newFollower returns what brings a store to one of its sinks.
func newFollower(k *kept, answered *atomic.Bool, sink topology.Sink) *follow.Follower {
	t := k.task
	return follow.New(follow.Config{
		Sink: sink, From: topology.Source{Table: k.spec.Name, Partition: t.partition, Format: k.spec.Format},
		Table: k, Session: followedSession{t},
		Write: t.config.Policies.Write, Retention: t.topics.retention[k.spec.Changelog],
		Patience: t.config.StartTimeout, Answered: answered,
		Counters: &t.counts.sinks, Waits: t.waits, Log: t.log,
	})
}

// follow starts the task's followers, before its first record.
func (t *task) follow() {
	owner := topology.Owner{Application: t.topology.Application(), Cluster: t.clusterID()} // known by now
	for _, k := range t.stores {
		for _, f := range k.followers {
			f.Start(t.session.ctx, owner, k.replica.Source(), k.store.Position())
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
