package processor

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/notify"
	"github.com/tidemark-dev/tidemark/topology"
)

// A follower brings one partition of a table to one sink. It reads the
// changelog from where the target stands to where the last commit ended, takes
// that in steps, and waits for the next commit: one way for live, catch-up and
// restart. It never holds the table up.
//
// Its goroutine owns all fields but end, which commits move.
type follower struct {
	*kept
	id      sinkID
	sink    topology.Sink
	from    topology.Source
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	began time.Time

	end  atomic.Int64 // committed changelog position
	wake chan struct{}
	done atomic.Int64 // changelog position that the target has
	err  atomic.Pointer[string]

	moved notify.Bell // done or err has changed

	epoch int64 // ours, 0 before the first Open
	place place // where the target stands
	tried int64 // the target may hold rows up to here
	gone  int64 // the changelog does not begin before this offset
	rows  coalescer
}

// idleStep is how often an idle target is asked whether it still stands there.
const idleStep = time.Second

func newFollower(k *kept, id sinkID, sink topology.Sink) *follower {
	f := &follower{
		kept: k, id: id, sink: sink,
		from: topology.Source{
			Table: k.Name, Partition: k.partition, Format: k.Format,
			Owner: topology.Owner{Application: k.topology.Application()},
		},
		wake: make(chan struct{}, 1),
	}
	f.ctx, f.cancel = context.WithCancel(k.session.ctx)
	return f
}

// follow starts the task's followers, before its first record.
func (t *task) follow() {
	for _, k := range t.stores {
		for _, f := range k.followers {
			f.end.Store(k.store.Position())
			if cluster := k.cluster.Load(); cluster != nil {
				f.from.Owner.Cluster = *cluster
			}
			f.running.Go(f.run)
		}
	}
}

// unfollow ends the followers. When the instance stops they first bring over
// what is committed, unless their target is in trouble.
func (t *task) unfollow() {
	for _, k := range t.stores {
		for _, f := range k.followers {
			f.finish()
			f.cancel()
			f.running.Wait()
		}
	}
}

// finish waits until the target has what is committed, if the instance stops
// and the target is not in trouble.
func (f *follower) finish() {
	for f.ctx.Err() == nil {
		moved := f.moved.Next()
		if !f.stopping() || f.err.Load() != nil || f.done.Load() >= f.end.Load() {
			return
		}
		select {
		case <-moved:
		case <-f.ctx.Done():
		}
	}
}

// committed tells the follower of a commit. It does not wait.
func (f *follower) committed(end int64) {
	f.end.Store(end)
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *follower) run() {
	defer f.waits.Clear("sink "+f.sink.String(), f.String())
	f.began = time.Now()
	for wait := 50 * time.Millisecond; f.ctx.Err() == nil; wait = min(2*wait, 2*time.Second) {
		began := time.Now()
		err := f.once()
		if f.ctx.Err() != nil {
			return
		}
		if errors.Is(err, topology.ErrFenced) {
			// Who took the partition is its owner, and this task ends soon; or was it
			// one that had been its owner before, and this task must take it again.
			f.epoch, wait = 0, 2*time.Second
		}
		f.trouble(err)
		if time.Since(began) > 5*time.Second || errors.Is(err, topology.ErrGap) {
			wait = 50 * time.Millisecond
		}
		_ = sleep(f.ctx, wait)
	}
}

// trouble says what the follower is waiting for. A target that has never
// answered ends the instance: after StartTimeout, and at once if it refuses. So
// does, at any time, one that belongs to somebody else, or never takes a row.
func (f *follower) trouble(err error) {
	switch c, _ := classify(err); {
	case errors.Is(err, topology.ErrForeign):
		f.fail(&startError{err})
		return
	case as[sarama.KError](err) && c != passing, c == storeError, c == recordError:
		f.fail(err) // of the changelog, or the local table: the session's to sort out
		return
	}
	text := err.Error()
	f.err.Store(&text)
	f.moved.Ring()
	f.waits.Set("sink "+f.sink.String(), f.String(), err)
	if f.reached(f.id) || errors.Is(err, topology.ErrGap) || errors.Is(err, topology.ErrFenced) {
		return
	}
	var refused *topology.RefusedError
	if errors.As(err, &refused) {
		f.fail(&startError{err})
	}
	if time.Since(f.began) > f.config.StartTimeout {
		f.fail(&startError{fmt.Errorf("%w (tried for %v)", err, f.config.StartTimeout)})
	}
}

// once opens the target and follows until something is wrong.
func (f *follower) once() error {
	if f.epoch == 0 && f.reached(f.id) {
		if err := f.owns(); err != nil {
			return err // whoever has fenced us may do so
		}
	}
	stands, err := f.sink.Open(f.ctx, f.from, f.epoch)
	if err != nil {
		return err
	}
	f.epoch = stands.Epoch
	f.reach(f.id)
	lost := stands.Position != "" || f.place != (place{}) // else it is filled for the first time
	if f.place, err = f.locate(stands.Position); err != nil {
		if err := f.owns(); err != nil {
			return err // our table may be older than what the target has had
		}
		if lost {
			f.counts.sinkRebuilds.Add(1)
		}
		f.log.Info("sink is rebuilt from the table", "sink", f.sink.String(), "partition", f.partition, "reason", err)
		if err := f.rebuild(stands.Position); err != nil {
			return fmt.Errorf("rebuilding: %w", err)
		}
	}
	f.tried = max(f.tried, f.place.offset)
	f.done.Store(f.place.offset)
	f.moved.Ring()
	for {
		if err := f.advance(); err != nil {
			return err
		}
		if f.err.Swap(nil) != nil {
			f.waits.Clear("sink "+f.sink.String(), f.String())
		}
	}
}

// advance brings what has been committed to the target, or waits for it.
func (f *follower) advance() error {
	if f.place.offset < f.end.Load() {
		return f.catchUp(f.end.Load())
	}
	idle := time.NewTimer(idleStep)
	defer idle.Stop()
	select {
	case <-f.ctx.Done():
		return f.ctx.Err()
	case <-f.wake:
		return nil
	case <-idle.C:
		return f.step(f.place.offset, nil) // is it still there?
	}
}

// catchUp reads the changelog up to a committed position, and not beyond, be it
// only over a control record: the target is never ahead of the table, from which
// it may have to be rebuilt.
func (f *follower) catchUp(end int64) error {
	changes, c := f.changelog(), &f.rows
	defer c.reset()
	for at := f.place.offset; at < end; {
		next, stable, err := changes.Read(at, 100*time.Millisecond, func(r *sarama.Record, offset int64, t time.Time) error {
			if offset >= end {
				return nil // committed meanwhile: the table may not have it yet
			}
			row := topology.Raw{Key: r.Key, Value: r.Value, Time: t, Position: topology.Position{Topic: f.Changelog, Partition: f.partition, Offset: offset}}
			if !c.fits(row) {
				if err := f.step(offset, c.take()); err != nil {
					return err
				}
			}
			if c.add(row); !c.full() {
				return nil
			}
			return f.step(offset+1, c.take())
		})
		if errors.Is(err, sarama.ErrOffsetOutOfRange) {
			f.tried, f.gone = max(f.tried, end), at+1
			return fmt.Errorf("%w: %w", topology.ErrGap, err) // its position cannot be read from any more
		}
		if next = min(next, end); err == nil && next == at && stable >= end {
			next = end // the rest was compacted away
		}
		if err == nil && (next > at || len(c.rows) > 0) {
			err = f.step(next, c.take())
		}
		if errors.Is(err, topology.ErrTooLarge) {
			c.narrow()
			next, err = f.place.offset, nil // once more from there, in smaller steps
		}
		if err != nil {
			return err
		}
		if at = next; f.ctx.Err() != nil {
			return f.ctx.Err()
		}
	}
	return nil
}

// step brings the target to a changelog offset, with the rows before it.
func (f *follower) step(to int64, rows []topology.Raw) error {
	f.tried = max(f.tried, to)
	next := place{source: f.source, offset: to, at: time.Now()}
	if err := f.apply(f.place.String(), next.String(), rows, nil); err != nil {
		return err
	}
	f.place = next
	f.done.Store(to)
	f.moved.Ring()
	f.rows.widen()
	return nil
}

// apply makes one step, however often it takes to know that it is made: a late
// copy of it finds a position that has moved on. Stale are names to delete.
func (f *follower) apply(from, to string, rows []topology.Raw, stale [][]byte) error {
	batch := topology.Batch{Source: f.from, Epoch: f.epoch, From: from, To: to, Rows: rows, Stale: stale}
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := f.sink.Apply(f.ctx, batch)
		switch {
		case err == nil || errors.Is(err, topology.ErrDuplicate):
			f.counts.sinkSteps.Add(1)
			f.counts.sinkRows.Add(int64(len(rows)))
			return nil
		case errors.Is(err, topology.ErrTooLarge) && len(rows) == 1 && len(stale) == 0:
			err = &topology.RowError{Key: rows[0].Key, Err: errors.New(err.Error())} // no step will be smaller
		case errors.Is(err, topology.ErrFenced) || errors.Is(err, topology.ErrGap) || errors.Is(err, topology.ErrTooLarge):
			return err
		case f.ctx.Err() != nil:
			return f.ctx.Err()
		}
		if row, ok := errors.AsType[*topology.RowError](err); ok {
			if batch.Rows, err = f.leaveOut(batch.Rows, row); err != nil {
				return err
			}
			continue
		}
		f.trouble(err)
		if err := sleep(f.ctx, wait); err != nil {
			return err
		}
	}
}

// leaveOut does with a row that the target never takes what the policy for Write
// says, and returns the other rows. The target keeps what it has under the row's
// name. A crash may repeat the dead letter: it is in no transaction.
func (f *follower) leaveOut(rows []topology.Raw, why *topology.RowError) ([]topology.Raw, error) {
	i := slices.IndexFunc(rows, func(r topology.Raw) bool { return bytes.Equal(r.Key, why.Key) })
	policy := cmp.Or(f.config.Policies.Write, topology.Fail)
	if i < 0 {
		policy = topology.Fail // a sink that blames a row it was not given
	}
	err := &topology.RecordError{Node: "sink " + f.sink.String(), Policy: policy, Err: fmt.Errorf("table %s: %w", f.from, why)}
	if i >= 0 {
		err.Position = rows[i].Position
	}
	switch policy {
	case topology.Skip:
		f.counts.skipped.Add(1)
		f.log.Warn("row left out of a sink", "error", err)
	case topology.DeadLetter:
		if lost := f.deadLetter(rows[i], err); lost != nil {
			return nil, lost
		}
		f.counts.deadLetters.Add(1)
		f.log.Warn("row left out of a sink, and copied to dead letters", "error", err)
	default:
		return nil, err
	}
	return slices.Concat(rows[:i], rows[i+1:]), nil
}
