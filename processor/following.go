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
		Write: t.processor.config.Policies.Write, Retention: t.processor.topics.retention[k.spec.Changelog],
		Patience: t.processor.config.StartTimeout, Answered: answered,
		Counters: &t.processor.counts.sinks, Waits: t.processor.waits, Log: t.log,
	})
}

// follow starts the task's followers, before its first record.
func (t *task) follow() {
	owner := topology.Owner{Application: t.processor.topology.Application(), Cluster: t.member.processor.clusterID()} // known by now
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
			f.Stop(t.processor.stopping())
		}
	}
}

// followedSession is the task's session as its followers see it.
type followedSession struct{ task *task }

func (s followedSession) Owns() error { return s.task.session.owns() }

func (s followedSession) Concerns(err error) bool {
	c, _ := classify(err)
	return as[sarama.KError](err) && c != passing || c == storeError || c == recordError
}

func (s followedSession) Fail(err error) { s.task.session.fail(err) }
func (s followedSession) End(err error)  { s.task.session.fail(&startError{err}) }

func (s followedSession) DeadLetter(ctx context.Context, row topology.Raw, why error) error {
	return s.task.member.copyToDeadLetters(ctx, row, why)
}
