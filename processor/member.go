package processor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// A member is this instance in the consumer group of one group of the topology.
// It joins, and joins again after every error, until the processor stops.
type member struct {
	processor  *Processor
	group      *topology.Group
	log        *slog.Logger
	balance    *balancer
	partitions int32 // of the changelogs, and of the inputs; without stores, of the largest
	session    atomic.Pointer[session]
	turn       atomic.Uint32 // of records without a key
	lingers    lingers
	holds      holds
	fenced     time.Time   // as a static member, when last
	asked      atomic.Bool // to be a member of the group
	strayed    atomic.Bool // keys are known to stray
	called     rollCall
}

func newMember(p *Processor, g *topology.Group) *member {
	m := &member{processor: p, group: g, log: p.config.Logger.With("group", g.Name)}
	for _, topic := range g.Inputs {
		m.partitions = max(m.partitions, p.topics.partitions[topic])
	}
	m.balance = newBalancer(m)
	return m
}

// String names the group.
func (m *member) String() string { return "group " + m.group.Name }

func (m *member) nextSession() string { return "the next session of " + m.String() }

// transactionalID is the same after a restart: the new process ends at once
// what the old one left open.
func (m *member) transactionalID() string {
	if m.processor.config.Guarantee == AtLeastOnce {
		return ""
	}
	return m.group.Name + "-" + m.processor.instance
}

// run works until ctx is done, or until an error ends the instance. Then it
// leaves the group: its partitions, and its verdict on the application, would
// stay there until its session times out.
func (m *member) run(ctx context.Context) error {
	err := m.stay(ctx)
	if !m.asked.Load() {
		return err
	}
	courtesy, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	left := m.leave(courtesy)
	if err == nil {
		return left
	}
	if left != nil {
		m.log.Warn("the group has to notice the end of this instance", "error", left)
	}
	return err
}

const leaveTimeout = 5 * time.Second

func (m *member) stay(ctx context.Context) error {
	for pause := time.Duration(0); ; {
		began := time.Now()
		err := m.runSession(ctx)
		if ctx.Err() != nil {
			if overtaken(err) {
				m.log.Info("stopped while the group shared its partitions out: their next owners repeat what was not committed", "error", err)
				err = nil
			}
			return err // of the last commit
		}
		if err == nil {
			err = errMembershipEnded
		}
		if m.processor.refused(ctx, err) {
			m.log.Warn("a topic refuses a record: what led to it is processed again, and its policy decides", "error", cured(err))
			continue
		}
		if m.holds.take(m.group, err) {
			m.log.Warn("a partition waits, so that the others can go on", "error", cured(err))
			continue
		}
		if m.mustEnd(err) {
			return cured(err)
		}
		err = cured(err)
		switch m.processor.config.OnError(err) {
		case StopInstance:
			return err
		case StopApplication:
			return m.stopApplication(ctx, err)
		}
		m.processor.waits.Set(m.nextSession(), "", err)
		if pause = min(pause*2+50*time.Millisecond, 2*time.Second); time.Since(began) > 10*time.Second {
			pause = 0
		}
		_ = sleep(ctx, pause+rand.N(pause/2+1)) // instances that disturb each other must not do so in step
	}
}

var errMembershipEnded = errors.New("membership ended")

// mustEnd tells whether somebody has to change something, so that it is no use to
// try again.
func (m *member) mustEnd(err error) bool {
	class, _ := classify(err)
	if errors.Is(err, sarama.ErrFencedInstancedId) {
		// Once, it may have been a JoinGroup of ours that was given up and came late.
		// Twice, it is another process, which we have just fenced in turn.
		before := m.fenced
		m.fenced = time.Now()
		return m.fenced.Sub(before) < m.processor.config.StartTimeout
	}
	return m.lingers.tooLong(class, m.processor.counts.commits.Load(), m.processor.config.StartTimeout)
}

// overtaken tells whether a commit was refused because the group has gone on
// without the member: its partitions have other owners, or these have ended its
// transaction already.
func overtaken(err error) bool {
	for _, refusal := range []error{
		sarama.ErrIllegalGeneration, sarama.ErrUnknownMemberId, sarama.ErrFencedInstancedId,
		sarama.ErrInvalidProducerEpoch, sarama.ErrProducerFenced,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// runSession joins the group, and works until the membership is lost.
func (m *member) runSession(ctx context.Context) error {
	if err := m.awaitGlobals(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	m.processor.counts.sessions.Add(1)
	what := "the coordinators of " + m.String()
	m.processor.waits.Expect(what, "", "they do not answer, or cannot end the last transaction of this instance: is a broker down, or are fewer replicas in sync than the min.insync.replicas of __transaction_state?")
	s, err := kafka.Call(ctx, func() (*session, error) {
		if err := m.refresh(); err != nil {
			return nil, err
		}
		return newSession(ctx, m)
	})
	m.processor.waits.Clear(what, "")
	switch {
	case ctx.Err() != nil:
		return nil // nothing was begun
	case err != nil:
		return explain(err)
	}
	m.balance.joining.Store(false)
	m.balance.generation.Store(-1)
	m.session.Store(s)
	defer m.processor.update()
	defer m.session.Store(nil)
	defer s.close()
	return m.consume(ctx, s)
}

// refresh asks where leaders and coordinator are: if one has moved, the last
// session may have ended because of that.
func (m *member) refresh() error {
	if err := m.processor.client.RefreshMetadata(); err != nil {
		return err
	}
	return m.processor.client.RefreshCoordinator(m.group.Name)
}

func (m *member) consume(ctx context.Context, s *session) error {
	stopFetching, err := s.startFetching(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return explain(err)
	}
	defer stopFetching()
	client, err := m.processor.kafka().ConnectMember(ctx, kafka.Membership{
		Instance: m.processor.instance, SessionTimeout: m.processor.config.SessionTimeout, Heartbeat: heartbeat,
		RebalanceTimeout: transactionTimeout, Strategy: m.balance, Joining: m.balance.joining.Load,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return explain(err)
	}
	defer func() { _ = client.Close() }()
	m.asked.Store(true)
	group, err := sarama.NewConsumerGroupFromClient(m.group.Name, groupClient{client.Sarama})
	if err != nil {
		return err
	}
	// What is left of a session that fails, or that stops before it has a
	// partition, waits for nobody.
	defer context.AfterFunc(s.ctx, client.Cut)()
	defer context.AfterFunc(ctx, func() {
		if m.balance.generation.Load() < 0 {
			client.Cut()
		}
	})()
	s.claimer = group
	s.loop.Go(func() {
		for err := range group.Errors() {
			s.groupError(err)
		}
	})
	if m.balance.verdict.Load() != nil {
		// The others are to hear it: the return of a static member would be no news to
		// them. They have its partitions for no longer than it takes to join.
		if err := m.leave(ctx); err != nil {
			return errors.Join(err, group.Close())
		}
	}
	// A session that fails ends its membership: sarama must not wait for it.
	joining, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(s.ctx, cancel)()
	m.balance.awaited()
	defer m.processor.waits.Clear(m.balance.what(), "")
	err = group.Consume(joining, m.group.Inputs, s)
	failure := s.failure()
	if errors.Is(err, context.Canceled) {
		err = nil // it was asked to end
	}
	err = errors.Join(err, group.Close())
	if failure != nil || client.IsCut() {
		err = nil // a consequence: its connections were cut
	}
	return errors.Join(failure, err)
}

// groupError takes what sarama reports beside its return values.
func (s *session) groupError(err error) {
	switch {
	case s.ctx.Err() != nil:
		s.log.Debug("consumer group", "error", sentence{err}) // a consequence
	case !passes(err):
		s.fail(sentence{err})
	default:
		s.groupTrouble(err)
	}
}

// groupTrouble says what the group waits for. sarama reports it again and again,
// and does not say when it is over.
func (s *session) groupTrouble(err error) {
	what := s.member.String() + " to answer"
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trouble != nil {
		s.trouble.Stop()
	}
	s.processor.waits.Set(what, "", err)
	s.trouble = time.AfterFunc(groupSilence, func() { s.processor.waits.Clear(what, "") })
}

// groupSilence is longer than it takes to try again, a dial and a read included.
const groupSilence = 7 * time.Second

// coordinator is the member's group as its coordinator knows it.
func (m *member) coordinator() kafka.Group {
	return kafka.Group{Client: m.processor.client, Name: m.group.Name}
}

// leave gives the partitions to the others at once: a static member would keep
// them until its session times out.
func (m *member) leave(ctx context.Context) error {
	return m.coordinator().Leave(ctx, m.processor.instance)
}

// said is what a member has told the others, and what it was given: nil where the
// group does not say.
func said(m *sarama.GroupMemberDescription) (*subscription, *sarama.ConsumerGroupMemberAssignment) {
	meta, err := m.GetMemberMetadata()
	if err != nil || meta == nil {
		return nil, nil
	}
	var s subscription
	if err := json.Unmarshal(meta.UserData, &s); err != nil {
		return nil, nil
	}
	a, err := m.GetMemberAssignment()
	if err != nil {
		return nil, nil
	}
	return &s, a
}

// stopApplication joins once more, to tell the others.
func (m *member) stopApplication(ctx context.Context, err error) error {
	text := fmt.Sprintf("%s: %v", m.processor.instance, err)
	m.balance.verdict.Store(&text)
	told, cancel := context.WithTimeout(ctx, m.processor.config.SessionTimeout+transactionTimeout)
	defer cancel()
	terr := m.runSession(told)
	if stop := (*stopError)(nil); !errors.As(terr, &stop) {
		return errors.Join(err, fmt.Errorf("the other instances could not be told to stop: %w", terr))
	}
	return err
}

// A startError ends the instance whatever the error handler says.
type startError struct{ err error }

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }
