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
	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/topology"
)

// globals are the global tables of an instance. One goroutine, started by start, looks
// at the topics every 30 s and runs one reader for each broker, which fetches for all
// tables. They have a client of their own: a fetch waits for records, and other
// requests on its connection would wait behind it.
type globals struct {
	processor *Processor
	tables    []*global
	client    sarama.Client
	err       atomic.Pointer[string] // what they are waiting for
	rounds    atomic.Int64           // fetches that went well

	lingers lingers // run's

	end context.CancelCauseFunc // of the instance
}

const (
	globalWait  = 250 * time.Millisecond // of a fetch; a stop waits for it
	globalRound = 30 * time.Second       // how often topics are looked at anew
)

// newGlobals returns the topology's global tables, which nobody reads yet.
func newGlobals(p *Processor) *globals {
	all := &globals{processor: p}
	for _, g := range p.topology.Globals() {
		all.tables = append(all.tables, newGlobal(p, g))
	}
	return all
}

// start begins to read the tables. It returns the context of the instance, which the
// tables end if they cannot go on; stop ends the reading and returns why.
func (all *globals) start(ctx context.Context) (running context.Context, stop func() error, err error) {
	if len(all.tables) == 0 {
		return ctx, func() error { return nil }, nil
	}
	client, err := all.processor.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	all.client = client.Sarama
	all.processor.update()
	running, all.end = context.WithCancelCause(ctx)
	reading, cancel := context.WithCancel(context.Background()) // beyond the last record of a task
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		all.run(reading)
	}()
	return running, func() error {
		cancel()
		closed := client.Close() // first: a fetch may wait for its broker
		<-ended
		refused, _ := errors.AsType[*topology.RecordError](context.Cause(running))
		all.end(nil)
		errs := []error{all.close(), closed}
		if refused != nil {
			errs = append(errs, refused)
		}
		return errors.Join(errs...)
	}, nil
}

// global returns a global table, nil if there is none of the name.
func (p *Processor) global(store string) *global {
	p.mu.Lock()
	all := p.globals
	p.mu.Unlock()
	if all != nil {
		for _, t := range all.tables {
			if t.spec.Store == store {
				return t
			}
		}
	}
	return nil
}

// globalsReady tells whether all global tables are.
func (p *Processor) globalsReady() bool {
	p.mu.Lock()
	all := p.globals
	p.mu.Unlock()
	if all != nil {
		for _, t := range all.tables {
			if !t.replica.Ready() {
				return false
			}
		}
	}
	return true
}

// globalStatus says how far the global tables are.
func (p *Processor) globalStatus() (list []GlobalStatus) {
	p.mu.Lock()
	all := p.globals
	p.mu.Unlock()
	if all == nil {
		return nil
	}
	for _, t := range all.tables {
		s := GlobalStatus{
			Table: t.spec.Store, Topic: t.spec.Topic, Partitions: p.topics.partitions[t.spec.Topic], State: Restoring,
			Restore: t.replica.Left(), Lag: t.behind.Load(),
		}
		if t.replica.Ready() {
			s.State, s.Restore = Running, 0
		}
		if err := all.err.Load(); err != nil {
			s.Err = *err
		}
		list = append(list, s)
	}
	return list
}

// awaitGlobals returns when the global tables that the member's tasks look at
// are ready, or when ctx is done.
func (m *member) awaitGlobals(ctx context.Context) error {
	for _, g := range m.group.Globals {
		if err := m.processor.global(g.Store).wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// run reads until ctx is done.
func (all *globals) run(ctx context.Context) {
	for pause := time.Duration(0); ; {
		began := time.Now()
		err := all.round(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil || time.Since(began) > 5*time.Second {
			pause = 0
		}
		if err != nil {
			if c, _ := classify(err); c == unknown || all.lingers.tooLong(c, all.rounds.Load(), all.processor.config.StartTimeout) {
				all.end(cured(err))
				return
			}
			all.trouble(err)
			pause = min(2*pause+50*time.Millisecond, 2*time.Second)
			_ = sleep(ctx, pause)
		}
	}
}

// trouble notes what the tables are waiting for.
func (all *globals) trouble(err error) {
	err = explain(err)
	text := err.Error()
	all.err.Store(&text)
	all.processor.waits.Set("the global tables", "", err)
}

// round reads for globalRound, or until the first error.
func (all *globals) round(ctx context.Context) error {
	var topics []string
	for _, t := range all.tables {
		topics = append(topics, t.spec.Topic)
	}
	if err := all.client.RefreshMetadata(topics...); err != nil {
		return err
	}
	byLeader := map[*sarama.Broker][]*reading{}
	for _, t := range all.tables {
		if err := t.open(ctx, all.client); err != nil {
			return fmt.Errorf("global table %q: %w", t.spec.Store, err)
		}
		for _, c := range t.cursors {
			leader, err := all.client.Leader(c.Topic, c.Partition)
			if err != nil {
				return fmt.Errorf("leader of %s: %w", c, err)
			}
			byLeader[leader] = append(byLeader[leader], &reading{c, t})
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	over := time.AfterFunc(globalRound, func() { cancel(errRoundOver) })
	defer over.Stop()
	var readers sync.WaitGroup
	for leader, of := range byLeader {
		readers.Go(func() {
			for wait := time.Duration(0); ctx.Err() == nil; wait = globalWait { // at first it learns where the end is
				if err := all.read(leader, of, wait); err != nil {
					cancel(err)
				}
			}
		})
	}
	readers.Wait()
	if err := context.Cause(ctx); !errors.Is(err, errRoundOver) {
		return err
	}
	return nil
}

var errRoundOver = errors.New("the round is over")

// A reading is a cursor of a global table.
type reading struct {
	cursor *kafka.Cursor
	table  *global
}

// read fetches once from one leader, and hands the tables what it has.
func (all *globals) read(leader *sarama.Broker, of []*reading, wait time.Duration) error {
	cursors := make([]*kafka.Cursor, len(of))
	for i, r := range of {
		cursors[i] = r.cursor
	}
	if err := kafka.Fetch(leader, cursors, wait); err != nil {
		return err
	}
	for _, r := range of {
		if err := r.table.take(r.cursor); err != nil {
			return all.sort(r.table, err)
		}
	}
	all.rounds.Add(1)
	if all.err.Load() != nil {
		all.err.Store(nil)
		all.processor.waits.Clear("the global tables", "")
	}
	return nil
}

// sort handles an error of a table. A record that is refused ends the sessions whose
// tasks look at the table, or the instance if there are none. A table that no longer
// fits its topic, or is damaged, is closed; the next round opens it again.
func (all *globals) sort(t *global, err error) error {
	refused, isRefused := errors.AsType[*topology.RecordError](err)
	switch {
	case isRefused:
		t.fail(refused)
		if len(t.watching()) == 0 && all.processor.config.OnError(refused) != RestartTask {
			all.end(refused)
		}
	case errors.Is(err, sarama.ErrOffsetOutOfRange), as[*staleError](err), errors.Is(err, store.ErrDamaged):
		t.reading.Lock()
		defer t.reading.Unlock()
		return errors.Join(err, t.close(false, err))
	}
	return err
}

// close closes the stores.
func (all *globals) close() error {
	var errs []error
	for _, t := range all.tables {
		t.reading.Lock()
		current := t.replica.Ready() && t.behind.Load() == 0 && all.err.Load() == nil
		errs = append(errs, t.replica.Close(current))
		t.reading.Unlock()
	}
	return errors.Join(errs...)
}
