package processor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/internal/kafka"
)

// An environment records what a commit does to its producer and its tasks. One of the
// steps may fail.
type environment struct {
	fails string
	calls []string
	tasks []part
	ended error
}

var errFails = errors.New("it fails")

func (e *environment) did(format string, args ...any) error {
	call := fmt.Sprintf(format, args...)
	e.calls = append(e.calls, call)
	if call == e.fails {
		return errFails
	}
	return nil
}

func (e *environment) Begin(partitions map[string][]int32) { _ = e.did("begin %v", partitions) }
func (e *environment) Push()                               { _ = e.did("push") }
func (e *environment) Commit() error                       { return e.did("commit") }
func (e *environment) Abort() error                        { return e.did("abort") }
func (e *environment) Expect(string, string, string)       {}
func (e *environment) Clear(string, string)                {}

func (e *environment) AddOffsets(offsets kafka.Offsets, m *sarama.ConsumerGroupMetadata) error {
	return e.did("add offsets of %d partitions, generation %d", len(offsets["journal"]), m.GenerationID)
}

// A fakePart is a task in an environment.
type fakePart struct {
	*environment
	name          string
	partition     int32
	phase         int32
	touched       bool
	large, behind bool
	busy          bool
}

func (p *fakePart) number() int32        { return p.partition }
func (p *fakePart) in(phase int32) bool  { return p.phase == phase }
func (p *fakePart) isIdle() bool         { return !p.busy }
func (p *fakePart) isLarge() bool        { return p.large }
func (p *fakePart) isBehind() bool       { return p.behind }
func (p *fakePart) takesPart() bool      { return p.touched || p.phase == claiming || p.phase == releasing }
func (p *fakePart) changelogs() []string { return []string{"changelog"} }
func (p *fakePart) committed() error     { return p.did("%s takes it over", p.name) }

func (p *fakePart) sendRows(keep int) bool {
	_ = p.did("%s sends its rows but %d", p.name, keep)
	return true
}

func (p *fakePart) addOffsets(offsets kafka.Offsets) {
	offsets["journal"] = append(offsets["journal"], &sarama.PartitionOffsetMetadata{Partition: p.partition})
}

// transactions are those of the environment, of a session that ends with ctx.
func (e *environment) transactions(ctx context.Context) *transactions {
	return &transactions{
		producer: e, tasks: func() []part { return e.tasks },
		membership: func() *sarama.ConsumerGroupMetadata { return &sarama.ConsumerGroupMetadata{GenerationID: 7} },
		interval:   time.Hour, rejoining: new(atomic.Bool), over: ctx, fail: func(err error) { e.ended = err },
		waits: e, counts: new(counters), reasons: make(chan struct{}, 1),
		onStep: func(n int) { _ = e.did("step %d", n) },
	}
}

func TestCommitStepByStep(t *testing.T) {
	steps := []string{
		"a sends its rows but 0", "c sends its rows but 0", "push", "step 1",
		"add offsets of 2 partitions, generation 7", "step 2",
		"commit", "step 3",
		"a takes it over", "c takes it over", "step 4",
	}
	for _, c := range []struct {
		fails string
		after []string // what is done all the same
		want  error
	}{
		{fails: ""},
		// What is not committed is committed by nobody, and taken over by nobody.
		{fails: "add offsets of 2 partitions, generation 7", after: []string{"step 2", "step 3"}, want: errFails},
		{fails: "commit", after: []string{"step 3"}, want: errFails},
		// What one task cannot take over, the next session takes from the changelog.
		{fails: "a takes it over", want: errFails},
		{fails: "c takes it over", want: errFails},
	} {
		t.Run(c.fails, func(t *testing.T) {
			e := &environment{fails: c.fails}
			e.tasks = []part{
				&fakePart{environment: e, name: "a", phase: running, touched: true},
				&fakePart{environment: e, name: "b", partition: 1, phase: running}, // has nothing
				&fakePart{environment: e, name: "c", partition: 2, phase: claiming},
			}
			want := steps
			for i, call := range steps {
				if call == c.fails {
					want = append(steps[:i+1:i+1], c.after...)
				}
			}
			x := e.transactions(t.Context())
			x.commit()
			if diff := cmp.Diff(want, e.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if !errors.Is(e.ended, c.want) {
				t.Errorf("the session ended of %v, want %v", e.ended, c.want)
			}
			if n := x.counts.commits.Load(); (n == 1) != (c.want == nil) {
				t.Errorf("%d commits are counted", n)
			}
		})
	}
}

// A session that is over commits nothing: its tasks may have closed their stores.
func TestNoCommitAfterTheSession(t *testing.T) {
	e := &environment{}
	e.tasks = []part{&fakePart{environment: e, phase: running, touched: true}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if x := e.transactions(ctx); true {
		x.commit()
	}
	if len(e.calls) > 0 {
		t.Errorf("it has done %q", e.calls)
	}
}

// What was announced for tasks that are released meanwhile is aborted.
func TestAnnouncedForNobody(t *testing.T) {
	for _, fails := range []string{"", "abort"} {
		e := &environment{fails: fails}
		e.transactions(t.Context()).commit()
		if got := strings.Join(e.calls, ", "); got != "abort" || (e.ended != nil) != (fails != "") {
			t.Errorf("it has done %q, and ended the session with %v", got, e.ended)
		}
	}
}

func TestDue(t *testing.T) {
	const hour = time.Hour
	for name, c := range map[string]struct {
		tasks     []fakePart
		rejoining bool
		open      time.Duration // the age of the open transaction; 0 if none is
		now       bool
		wait      time.Duration
	}{
		"nothing is open":                        {tasks: []fakePart{{phase: running}}},
		"nothing more to process":                {tasks: []fakePart{{phase: running}}, open: 1, now: true},
		"more to process":                        {tasks: []fakePart{{phase: running, busy: true}}, open: 1, wait: hour},
		"more of one of two":                     {tasks: []fakePart{{phase: running}, {phase: running, busy: true}}, open: 1, wait: hour},
		"the interval is over":                   {tasks: []fakePart{{phase: running, busy: true}}, open: hour, now: true},
		"far behind, and no more than longest":   {tasks: []fakePart{{phase: running, busy: true, behind: true}}, open: 1, wait: longestCommit},
		"large":                                  {tasks: []fakePart{{phase: running, busy: true, large: true}}, open: 1, now: true},
		"a task begins":                          {tasks: []fakePart{{phase: claiming}, {phase: running, busy: true}}, now: true},
		"a task begins during a rebalance":       {tasks: []fakePart{{phase: claiming}}, rejoining: true},
		"records during a rebalance":             {tasks: []fakePart{{phase: running, large: true}}, open: hour, rejoining: true},
		"a task ends, at the end of a rebalance": {tasks: []fakePart{{phase: releasing}}, rejoining: true, now: true},
		"a task restores":                        {tasks: []fakePart{{phase: restoring}, {phase: running, busy: true}}, open: 1, wait: hour},
	} {
		t.Run(name, func(t *testing.T) {
			e := &environment{}
			for i := range c.tasks {
				e.tasks = append(e.tasks, &c.tasks[i])
			}
			x := e.transactions(t.Context())
			x.rejoining.Store(c.rejoining)
			if c.open > 0 {
				x.begun.Store(max(1, int64(time.Since(started)-c.open)))
				if c.open >= hour { // the process is not that old
					x.interval = time.Nanosecond
				}
			}
			now, wait := x.due()
			if now != c.now || !now && (wait > c.wait || wait < c.wait-time.Minute) {
				t.Errorf("now %v, or in %v, want %v, %v", now, wait, c.now, c.wait)
			}
		})
	}
}

// A rebalance that begins between the decision and the closing of the gate holds up the
// commit: the broker would refuse it.
func TestRebalanceBeforeTheGate(t *testing.T) {
	e := &environment{}
	e.tasks = []part{&fakePart{environment: e, name: "a", phase: running, touched: true}}
	x := e.transactions(t.Context())
	x.grow(10)
	if now, _ := x.due(); !now {
		t.Fatal("no commit is due")
	}
	x.rejoining.Store(true)
	if x.settle() || len(e.calls) > 0 {
		t.Errorf("it has done %q", e.calls)
	}
	x.rejoining.Store(false)
	if !x.settle() || e.calls[len(e.calls)-1] != "step 4" {
		t.Errorf("it has done %q", e.calls)
	}
}

// The owner sleeps until it is woken, announces what is open, and commits when nothing
// more is to be processed.
func TestOwnerCommitsWhenWoken(t *testing.T) {
	e := &environment{}
	busy := &switchedPart{fakePart: fakePart{environment: e, name: "a", phase: running, touched: true}}
	busy.on.Store(true)
	e.tasks = []part{busy}
	ctx, cancel := context.WithCancel(t.Context())
	x := e.transactions(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		x.run()
	}()
	settled := x.settled.Next()
	x.grow(10)
	x.wake()
	busy.on.Store(false)
	for done := false; !done; {
		x.wake()
		select {
		case <-settled:
			done = true
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	<-ended
	if last := e.calls[len(e.calls)-1]; last != "step 4" || e.ended != nil {
		t.Errorf("it has done %q, and ended with %v", e.calls, e.ended)
	}
}

type switchedPart struct {
	fakePart
	on atomic.Bool
}

func (p *switchedPart) isIdle() bool { return !p.on.Load() }
