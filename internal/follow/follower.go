// Package follow brings a partition of a table to a sink.
package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemark-dev/tidemark/internal/notify"
	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/internal/waiting"
	"github.com/tidemark-dev/tidemark/topology"
)

// A Table is the partition that a Follower brings to its sink.
type Table interface {
	// Changes hands over the committed rows of the changelog from one offset up to,
	// not including, another, and tells reached after each answer of the broker where
	// it goes on. An error of either ends it. A changelog that no longer has the
	// first offset is kafka.ErrTruncated. A row is valid until Changes returns.
	Changes(ctx context.Context, from, end int64, row func(topology.Raw) error, reached func(next int64) error) error

	// Snapshot returns the rows as of one changelog position.
	Snapshot() (*store.Snapshot, error)

	// Belongs tells whether the row of a key is expected in this partition.
	Belongs(key []byte) bool

	// Strays tells whether the rows of some keys are known to be in partitions where
	// Belongs does not expect them.
	Strays(ctx context.Context) (bool, error)
}

// A Session is what a Follower tells and asks those who own the partition.
type Session interface {
	// Owns asks Kafka whether the partition is still ours; nil if it is.
	Owns() error

	// Concerns tells whether an error is not of the sink, but of the changelog or the
	// local table, and does not pass by itself: the session has to sort it out.
	Concerns(error) bool

	// Fail ends the session, and End the instance: somebody has to change something.
	Fail(error)
	End(error)

	// DeadLetter copies a row that the sink never takes to the dead letters.
	DeadLetter(ctx context.Context, row topology.Raw, why error) error
}

// Config is what a Follower needs.
type Config struct {
	Sink    topology.Sink
	From    topology.Source // how the sink knows the partition; Start sets the owner
	Table   Table
	Session Session

	Write     topology.Policy // for rows that the sink never takes; defaults to topology.Fail
	Retention time.Duration   // of tombstones in the changelog
	Patience  time.Duration   // how long a sink may take until it answers for the first time
	Answered  *atomic.Bool    // the sink has answered once; shared by its followers

	Counters *Counters
	Waits    *waiting.Waits
	Log      *slog.Logger
}

// Counters are numbers of all followers of an instance.
type Counters struct {
	Rows, Steps          atomic.Int64 // written to sinks
	Rebuilds             atomic.Int64 // of targets that had lost their place
	Skipped, DeadLetters atomic.Int64 // rows that a sink never takes
}

// Status is how far a sink is behind.
type Status struct {
	Sink string
	Lag  int64  // changelog offsets
	Err  string // what it is waiting for
}

// A Follower brings one partition of a table to one sink. It reads the changelog
// from where the target stands to where the last commit ended, takes that in
// steps, and waits for the next commit: it does the same live, when it catches up
// and after a restart. It never holds the table up.
//
// Start starts its only goroutine, and Stop ends it. That goroutine owns the
// fields at the end; the others are safe for concurrent use.
type Follower struct {
	config  Config
	place   string // of its waits
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	end   atomic.Int64           // committed changelog position
	news  notify.Bell            // end has moved
	done  atomic.Int64           // changelog position that the target has
	err   atomic.Pointer[string] // what it is waiting for
	moved notify.Bell            // done or err has changed

	source string    // the changelog's incarnation
	began  time.Time // when it was started
	epoch  int64     // ours, 0 before the first Open
	at     position  // where the target stands
	tried  int64     // the target may hold rows up to here
	gone   int64     // the changelog does not begin before this offset
	rows   coalescer // of the next step
}

// New returns a follower that is not started.
func New(c Config) *Follower { return &Follower{config: c, place: c.From.String()} }

// Start follows the owner's changelog from where the sink stands. Source is the
// changelog's incarnation; the table has what is committed up to end.
func (f *Follower) Start(ctx context.Context, owner topology.Owner, source string, end int64) {
	f.ctx, f.cancel = context.WithCancel(ctx)
	f.config.From.Owner = owner
	f.source, f.began = source, time.Now()
	f.end.Store(end)
	f.running.Go(f.run)
}

// Committed tells a follower of a commit. It does not wait.
func (f *Follower) Committed(end int64) {
	f.end.Store(end)
	f.news.Ring()
}

// Stop ends a follower that was started. To finish, it first waits until the
// target has everything that is committed, unless the target is in trouble.
func (f *Follower) Stop(finish bool) {
	for finish && f.ctx.Err() == nil {
		moved := f.moved.Next()
		if f.err.Load() != nil || f.done.Load() >= f.end.Load() {
			break
		}
		select {
		case <-moved:
		case <-f.ctx.Done():
		}
	}
	f.cancel()
	f.running.Wait()
}

// Status returns how far the sink is behind.
func (f *Follower) Status() Status {
	s := Status{Sink: f.config.Sink.String(), Lag: max(0, f.end.Load()-f.done.Load())}
	if err := f.err.Load(); err != nil {
		s.Err = *err
	}
	return s
}

const (
	firstPause = 50 * time.Millisecond // after an error; then twice as long each time
	lastPause  = 2 * time.Second
	goodRun    = 5 * time.Second // an error after so long is a first one again
)

func (f *Follower) run() {
	defer f.config.Waits.Clear(f.what(), f.place)
	for pause := firstPause; f.ctx.Err() == nil; pause = min(2*pause, lastPause) {
		began := time.Now()
		err := f.follow()
		if f.ctx.Err() != nil {
			return
		}
		if errors.Is(err, topology.ErrFenced) {
			// The partition has a new owner, and this task ends soon. Or a former owner has
			// come back for a moment: then this task takes the target again.
			f.epoch, pause = 0, lastPause
		}
		f.trouble(err)
		if time.Since(began) > goodRun || errors.Is(err, topology.ErrGap) {
			pause = firstPause
		}
		_ = f.sleep(pause)
	}
}

// what is what it waits for when the target is in trouble.
func (f *Follower) what() string { return "sink " + f.config.Sink.String() }

// trouble says what the follower is waiting for. Some errors end the instance: that
// a target has never answered within the patience, that it refuses before it has
// answered once, and at any time that it belongs to somebody else.
func (f *Follower) trouble(err error) {
	switch {
	case errors.Is(err, topology.ErrForeign):
		f.config.Session.End(err)
		return
	case f.config.Session.Concerns(err):
		f.config.Session.Fail(err)
		return
	}
	text := err.Error()
	f.err.Store(&text)
	f.moved.Ring()
	f.config.Waits.Set(f.what(), f.place, err)
	if f.config.Answered.Load() || errors.Is(err, topology.ErrGap) || errors.Is(err, topology.ErrFenced) {
		return
	}
	if _, refused := errors.AsType[*topology.RefusedError](err); refused {
		f.config.Session.End(err)
	}
	if time.Since(f.began) > f.config.Patience {
		f.config.Session.End(fmt.Errorf("%w (tried for %v)", err, f.config.Patience))
	}
}

// well says that the target is in no trouble.
func (f *Follower) well() {
	if f.err.Swap(nil) != nil {
		f.config.Waits.Clear(f.what(), f.place)
	}
}

func (f *Follower) sleep(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-f.ctx.Done():
		return f.ctx.Err()
	case <-t.C:
		return nil
	}
}
