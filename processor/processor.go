// Package processor runs a topology on Kafka and answers queries about its tables.
package processor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/follow"
	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/internal/waiting"
	"github.com/tidemark-dev/tidemark/topology"
)

// A Processor is one instance of an application. It is safe for concurrent use.
type Processor struct {
	topology *topology.Topology
	config   Config
	life     life
	waits    *waiting.Waits
	limits   *limits
	counts   counters
	answered map[sinkID]*atomic.Bool // sinks that have answered once
	onStep   func(step int)          // of a commit, for tests

	// Set by Run before any member runs.
	instance string // group.instance.id
	client   sarama.Client
	writer   sarama.Client // of transactions: their requests wait for no fetch
	topics   topics
	cluster  atomic.Pointer[string] // Kafka's id, known before a table is opened

	mu      sync.Mutex
	members []*member
	globals *globals
}

// New returns a processor. It contacts nothing; the error lists every setting
// that is wrong.
func New(t *topology.Topology, cfg Config) (*Processor, error) {
	if t == nil {
		return nil, errors.New("no topology")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Processor{topology: t, config: cfg, answered: map[sinkID]*atomic.Bool{}, waits: waiting.New(cfg.Logger), limits: newLimits()}
	for _, g := range t.Groups() {
		for _, s := range g.Stores {
			for n := range s.Sinks {
				p.answered[sinkID{s.Name, n}] = new(atomic.Bool)
			}
		}
	}
	return p, nil
}

// Run processes records until ctx is done and what was begun is committed, or
// until an error ends the instance. It may be called once. Errors that may pass
// it waits for, without an end, unless Config.OnError decides otherwise; while
// it starts, for Config.StartTimeout.
func (p *Processor) Run(ctx context.Context) error {
	if !p.life.start() {
		return errors.New("processor: Run was called before")
	}
	err := p.run(ctx)
	p.waits.End()
	p.life.finish(err)
	return err
}

func (p *Processor) run(ctx context.Context) (err error) {
	instance, lock, err := takeIdentity(p.config.StateDir, p.topology.Application(), p.config.Logger)
	if err != nil {
		return err
	}
	var running sync.WaitGroup // what has the stores open, and what ends with the clients
	defer func() {
		free := make(chan error, 1)
		go func() {
			running.Wait()
			free <- lock.Close()
		}()
		select {
		case e := <-free:
			err = errors.Join(err, e)
		case <-time.After(100 * time.Millisecond): // a function of the program has not returned
		}
	}()
	p.instance = instance
	for _, c := range []*sarama.Client{&p.client, &p.writer} {
		client, err := p.connect(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil // stopped before it began
			}
			return err
		}
		defer func() { _ = client.Close() }()
		*c = client.Sarama
	}
	if err := p.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	var members []*member
	for _, g := range p.topology.Groups() {
		members = append(members, newMember(p, g))
	}
	p.mu.Lock()
	p.members, p.globals = members, newGlobals(p)
	p.mu.Unlock()
	p.config.Logger.Info("processor starts", "application", p.topology.Application(), "instance", instance)
	alive, stopGlobals, err := p.globals.start(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	return errors.Join(p.runMembers(alive, &running, members), stopGlobals(), p.closeSinks())
}

// prepare checks and creates topics. What somebody has to change is an error at
// once; a broker that is lost meanwhile may be back within StartTimeout.
func (p *Processor) prepare(ctx context.Context) error {
	budget, cancel := context.WithTimeout(ctx, p.config.StartTimeout)
	defer cancel()
	const what = "the topics to be looked at"
	last := errors.New("no answer from Kafka: is a broker down?")
	p.waits.Expect(what, "", last.Error())
	for ctx.Err() == nil {
		ready, err := kafka.Call(budget, func() (topics, error) { return p.prepareTopics(budget) })
		switch c, _ := classify(err); {
		case err == nil:
			p.waits.Clear(what, "")
			p.topics = ready
			return nil
		case c == setupError:
			return cured(err)
		case budget.Err() == nil:
			last = cured(err)
			p.waits.Set(what, "", last)
		}
		if sleep(budget, 500*time.Millisecond) != nil && ctx.Err() == nil {
			return fmt.Errorf("%w (tried for %v)", last, p.config.StartTimeout)
		}
	}
	return ctx.Err()
}

// runMembers ends when all members have, or when DrainTimeout is over: then
// running is not done. The first error ends the others.
func (p *Processor) runMembers(ctx context.Context, running *sync.WaitGroup, members []*member) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, len(members))
	running.Go(func() { p.purge(ctx) })
	for _, m := range members {
		running.Go(func() {
			err := m.run(ctx)
			if err != nil {
				err = fmt.Errorf("group %s: %w", m.group.Name, err)
			}
			stop()
			ended <- err
		})
	}
	<-ctx.Done()
	p.life.set(Stopping, nil)
	late := time.NewTimer(p.config.DrainTimeout)
	defer late.Stop()
	var errs []error
	for range members {
		select {
		case err := <-ended:
			errs = append(errs, err)
		case <-late.C:
			for _, m := range members {
				if s := m.session.Load(); s != nil {
					s.fail(context.DeadlineExceeded)
				}
			}
			return errors.Join(append(errs, fmt.Errorf("not everything was committed within %v: the next start repeats it from the last commit", p.config.DrainTimeout))...)
		}
	}
	return errors.Join(errs...)
}

func (p *Processor) closeSinks() error {
	var errs []error
	for _, g := range p.topology.Groups() {
		for _, kept := range g.Stores {
			for _, s := range kept.Sinks {
				if c, ok := s.(io.Closer); ok {
					errs = append(errs, c.Close())
				}
			}
		}
	}
	return errors.Join(errs...)
}

// A sinkID names a sink of a store by its place among them: sinks are compared by
// nobody, they may be of any type.
type sinkID struct {
	store string
	n     int
}

// deadLetters is the topic for records that are refused. It exists before the
// first record, if any policy asks for it.
func (p *Processor) deadLetters() string { return p.topology.Application() + "-dead-letters" }

// Wait returns when the processor is in the state, with an error when it has
// ended without or when ctx is done.
func (p *Processor) Wait(ctx context.Context, s State) error {
	for state := range p.States(ctx) {
		if state == s {
			return nil
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("waiting for state %v: %w", s, err)
	}
	state, err := p.life.now()
	return errors.Join(fmt.Errorf("the processor is %v and will not be %v", state, s), err)
}

// States yields the current state and each one after it, until the last or
// until ctx is done.
func (p *Processor) States(ctx context.Context) iter.Seq[State] { return p.life.states(ctx) }

// Status returns what this instance is doing.
func (p *Processor) Status() Status {
	state, err := p.life.now()
	s := Status{Application: p.topology.Application(), State: state, Counts: p.counts.read(), Tasks: []TaskStatus{}, Waiting: p.waits.List()}
	if err != nil {
		s.Err = err.Error()
	}
	p.mu.Lock()
	members := p.members
	p.mu.Unlock()
	if len(members) > 0 {
		s.Instance = p.instance
	}
	for _, m := range members {
		for _, t := range m.tasks() {
			s.Tasks = append(s.Tasks, t.status()...)
		}
	}
	s.Globals = p.globalStatus()
	return s
}

// counters are what Counts are read from.
type counters struct {
	records, rows, published, skipped, deadLetters atomic.Int64
	dropped                                        [len(topology.DropReasons)]atomic.Int64
	commits, commitTime, sessions, restored        atomic.Int64
	sinks                                          follow.Counters
}

func (c *counters) read() Counts {
	late, noValue, noKey := c.dropped[topology.Late].Load(), c.dropped[topology.NoValue].Load(), c.dropped[topology.NoKey].Load()
	return Counts{
		Records: c.records.Load(), Rows: c.rows.Load(), Published: c.published.Load(),
		Dropped: late + noValue + noKey, DroppedLate: late, DroppedNoValue: noValue, DroppedNoKey: noKey,
		Skipped: c.skipped.Load() + c.sinks.Skipped.Load(), DeadLetters: c.deadLetters.Load() + c.sinks.DeadLetters.Load(),
		Commits: c.commits.Load(), CommitTime: time.Duration(c.commitTime.Load()),
		Sessions: c.sessions.Load(), Restored: c.restored.Load(),
		SinkRows: c.sinks.Rows.Load(), SinkSteps: c.sinks.Steps.Load(), SinkRebuilds: c.sinks.Rebuilds.Load(),
	}
}
