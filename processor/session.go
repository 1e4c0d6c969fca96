package processor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

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

	// gate: a task holds it for reading while it processes a batch, which so takes
	// part in the open transaction as a whole. A commit holds it for writing. It
	// is locked before everything else.
	gate   sync.RWMutex
	joined sarama.ConsumerGroupSession
	fetch  sarama.ConsumerGroup
	tasks  map[int32]*task
	opened chan struct{} // a first record is in the transaction

	listed atomic.Pointer[[]*task] // tasks by partition, for readers that do not wait for a commit
	share  atomic.Int32            // how many partitions the member has been given

	mu        sync.Mutex
	shares    map[int32]int   // how many inputs each assigned partition has
	claims    map[int32]*task // that have claims, also if not all of them
	takeovers map[int32]*takeover

	lost fetchTroubles
}

// newSession comes before joining the group: its producer ends what a
// predecessor left open, and joining waits for the offsets of such a
// transaction.
func newSession(ctx context.Context, m *member) (*session, error) {
	producer, err := kafka.NewProducer(ctx, m.kafka(), m.transactionalID(), m.group.Name, transactionTimeout)
	if err != nil {
		return nil, err
	}
	producer.MaxMessageBytes = m.maxMessageBytes
	s := &session{
		member: m, producer: producer,
		tasks: map[int32]*task{}, opened: make(chan struct{}, 1),
		claims: map[int32]*task{}, takeovers: map[int32]*takeover{},
	}
	s.lost = fetchTroubles{waits: m.waits, what: fmt.Sprintf("records of group %s", m.group.Name), places: map[string]*time.Timer{}}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	context.AfterFunc(s.ctx, producer.Close) // who waits for an answer waits no longer
	s.listed.Store(&[]*task{})
	return s, nil
}

// Setup begins the membership. Rebalances change the claims, not the session.
func (s *session) Setup(joined sarama.ConsumerGroupSession) error {
	s.gate.Lock()
	s.joined = joined
	s.gate.Unlock()
	s.loop.Go(s.commitLoop)
	go s.measureLag()
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
	s.lost.end()
}
