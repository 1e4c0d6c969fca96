package processor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/inputs"
	"github.com/tidemark-dev/tidemark/internal/kafka"
)

// A session is what lies between joining the group and losing the membership.
// It owns the producer and the tasks. Any error ends it, and with it everything
// that is not committed: the next session starts from what is.
type session struct {
	*member
	producer *kafka.Producer
	ctx      context.Context // ends with the session's first error
	cancel   context.CancelCauseFunc
	loop     sync.WaitGroup

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
	producer, err := kafka.NewProducer(ctx, m.writer, m.transactionalID(), m.group.Name, transactionTimeout)
	if err != nil {
		return nil, err
	}
	producer.MaxMessageBytes = m.maxMessageBytes
	s := &session{
		member: m, producer: producer,
		tasks:  map[int32]*task{},
		claims: map[int32]*task{}, takeovers: map[int32]*takeover{},
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.listed.Store(&[]*task{})
	s.parts.Store(&[]part{})
	s.transactions = &transactions{
		producer: producer, tasks: func() []part { return *s.parts.Load() }, membership: s.membership,
		interval: m.config.CommitInterval, rejoining: &m.balance.joining, over: s.ctx, fail: s.fail,
		waits: m.waits, what: "Kafka to take a commit of " + m.String(), counts: &m.counts, onStep: m.onStep,
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
	err := s.coordinator().Heartbeat(s.ctx, s.membership())
	if err != nil {
		return fmt.Errorf("is the partition still ours? %w", err)
	}
	return nil
}

// membership fences a zombie: the broker takes offsets only from the member,
// and of the generation, that owns the partitions.
func (s *session) membership() *sarama.ConsumerGroupMetadata {
	return &sarama.ConsumerGroupMetadata{
		GroupID: s.group.Name, GenerationID: s.balance.generation.Load(),
		MemberID: s.joined.MemberID(), GroupInstanceID: &s.instance,
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

// close ends everything that the session has started, and aborts what is open:
// a courtesy to readers, which the next session's producer does in any case.
func (s *session) close() {
	s.cancel(errSessionOver)
	s.loop.Wait()
	if err := s.producer.Abort(); err != nil {
		s.log.Debug("aborting the open transaction", "error", err)
	}
	s.producer.Close()
}
