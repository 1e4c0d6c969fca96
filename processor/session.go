package processor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/inputs"
	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// A session is what lies between joining the group and losing the membership.
// It owns the producer and the tasks. Any error ends it, and with it everything
// that is not committed: the next session starts from what is.
type session struct {
	processor *Processor
	member    *member
	group     *topology.Group
	log       *slog.Logger
	producer  *kafka.Producer
	ctx       context.Context // ends with the session's first error
	cancel    context.CancelCauseFunc
	loop      sync.WaitGroup

	joined  sarama.ConsumerGroupSession
	claimer sarama.ConsumerGroup
	fetcher *inputs.Fetcher

	transactions *transactions
	tasks        map[int32]*task         // guarded by the gate of the transactions
	listed       atomic.Pointer[[]*task] // the same by partition, for readers that do not wait for a commit
	parts        atomic.Pointer[[]part]  // the same
	share        atomic.Int32            // how many partitions the member has been given

	mu        sync.Mutex
	shares    map[int32]int   // how many inputs each assigned partition has
	claims    map[int32]*task // that have claims, also if not all of them
	takeovers map[int32]*takeover
	trouble   *time.Timer // of the group; until it is silent
}

// newSession comes before joining the group: its producer ends what a
// predecessor left open, and joining waits for the offsets of such a
// transaction.
func newSession(ctx context.Context, m *member) (*session, error) {
	producer, err := kafka.NewProducer(ctx, m.processor.kafka(), m.transactionalID(), m.group.Name, transactionTimeout)
	if err != nil {
		return nil, err
	}
	producer.MaxMessageBytes = m.processor.maxMessageBytes
	s := &session{
		processor: m.processor, member: m, group: m.group, log: m.log, producer: producer,
		tasks:  map[int32]*task{},
		claims: map[int32]*task{}, takeovers: map[int32]*takeover{},
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	context.AfterFunc(s.ctx, producer.Close) // who waits for an answer waits no longer
	s.listed.Store(&[]*task{})
	s.parts.Store(&[]part{})
	s.transactions = &transactions{
		producer: producer, tasks: func() []part { return *s.parts.Load() }, membership: s.membership,
		interval: m.processor.config.CommitInterval, rejoining: &m.balance.joining, over: s.ctx, fail: s.fail,
		waits: m.processor.waits, what: "Kafka to take a commit of " + m.String(), counts: &m.processor.counts, onStep: m.processor.onStep,
		reasons: make(chan struct{}, 1),
	}
	return s, nil
}

// Setup begins the membership. Rebalances change the claims, not the session.
func (s *session) Setup(joined sarama.ConsumerGroupSession) error {
	s.transactions.gate.Lock()
	s.joined = joined
	s.transactions.gate.Unlock()
	s.loop.Go(s.transactions.run)
	return nil
}

// Cleanup ends the membership: all tasks have returned.
func (s *session) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// owns asks Kafka whether the tasks still own their partitions: an instance that
// was cut off, or stood still, learns late that it has lost them.
func (s *session) owns() error {
	err := s.member.coordinator().Heartbeat(s.ctx, s.membership())
	if err != nil {
		return fmt.Errorf("is the partition still ours? %w", err)
	}
	return nil
}

// membership fences a zombie: the broker takes offsets only from the member,
// and of the generation, that owns the partitions.
func (s *session) membership() *sarama.ConsumerGroupMetadata {
	return &sarama.ConsumerGroupMetadata{
		GroupID: s.group.Name, GenerationID: s.member.balance.generation.Load(),
		MemberID: s.joined.MemberID(), GroupInstanceID: &s.processor.instance,
	}
}

// fail ends the session without a commit.
func (s *session) fail(err error) { s.cancel(err) }

// failure is why the session failed, nil if it has not.
func (s *session) failure() error {
	if err := context.Cause(s.ctx); err != nil && !errors.Is(err, errSessionOver) {
		return err
	}
	return nil
}

var errSessionOver = errors.New("the session is over")

// close ends everything that the session has started. What is open is aborted, by
// the producer or, in any case, by that of the next session.
func (s *session) close() {
	s.cancel(errSessionOver)
	s.loop.Wait()
}
