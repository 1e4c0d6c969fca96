package follow

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// idleStep is how often an idle target is asked whether it still stands there.
const idleStep = time.Second

// follow opens the target and follows until something is wrong.
func (f *Follower) follow() error {
	if err := f.open(); err != nil {
		return err
	}
	f.tried = max(f.tried, f.at.offset)
	f.done.Store(f.at.offset)
	f.moved.Ring()
	for {
		if err := f.advance(); err != nil {
			return err
		}
		f.well()
	}
}

// open opens the target, and rebuilds it if it cannot be followed from where it stands.
func (f *Follower) open() error {
	if f.epoch == 0 && f.config.Answered.Load() {
		if err := f.config.Session.Owns(); err != nil {
			return err // whoever has fenced us may do so
		}
	}
	stands, err := f.config.Sink.Open(f.ctx, f.config.From, f.epoch)
	if err != nil {
		return err
	}
	f.epoch = stands.Epoch
	f.config.Answered.Store(true)
	lost := stands.Position != "" || f.at != (position{}) // else it is filled for the first time
	at, reason := f.locate(stands.Position)
	if f.at = at; reason == nil {
		return nil
	}
	if err := f.config.Session.Owns(); err != nil {
		return err // our table may be older than what the target has had
	}
	if lost {
		f.config.Counters.Rebuilds.Add(1)
	}
	f.config.Log.Info("sink is rebuilt from the table", "sink", f.config.Sink.String(), "partition", f.config.From.Partition, "reason", reason)
	if err := f.rebuild(stands.Position); err != nil {
		return fmt.Errorf("rebuilding: %w", err)
	}
	return nil
}

// advance brings what has been committed to the target, or waits for a commit.
func (f *Follower) advance() error {
	news := f.news.Next()
	if f.at.offset < f.end.Load() {
		return f.catchUp(f.end.Load())
	}
	idle := time.NewTimer(idleStep)
	defer idle.Stop()
	select {
	case <-f.ctx.Done():
		return f.ctx.Err()
	case <-news:
		return nil
	case <-idle.C:
		return f.step(f.at.offset, nil) // is it still there?
	}
}

// catchUp reads the changelog up to a committed position and not beyond, not even
// over a control record: the target is never ahead of the table, from which it may
// have to be rebuilt.
func (f *Follower) catchUp(end int64) error {
	c := &f.rows
	defer c.reset()
	for f.at.offset < end {
		err := f.config.Table.Changes(f.ctx, f.at.offset, end, func(row topology.Raw) error {
			if !c.fits(row) {
				if err := f.step(row.Offset, c.take()); err != nil {
					return err
				}
			}
			if c.add(row); !c.full() {
				return nil
			}
			return f.step(row.Offset+1, c.take())
		}, func(next int64) error {
			if next > f.at.offset {
				return f.step(next, c.take())
			}
			return nil
		})
		switch {
		case errors.Is(err, topology.ErrTooLarge):
			c.narrow() // and once more from where the target stands, in smaller steps
		case errors.Is(err, kafka.ErrTruncated):
			f.tried, f.gone = max(f.tried, end), f.at.offset+1
			return fmt.Errorf("%w: %w", topology.ErrGap, err) // open rebuilds it
		case err != nil:
			return err
		}
	}
	return nil
}

// step brings the target to a changelog offset, with the rows before it.
func (f *Follower) step(to int64, rows []topology.Raw) error {
	f.tried = max(f.tried, to)
	next := position{source: f.source, offset: to, at: time.Now()}
	if err := f.apply(f.at.String(), next.String(), rows, nil); err != nil {
		return err
	}
	f.at = next
	f.done.Store(to)
	f.moved.Ring()
	f.rows.widen()
	return nil
}

// apply makes one step, and repeats it until it knows that it is made: a late copy
// of the step finds a position that has moved on. Stale are names to delete.
func (f *Follower) apply(from, to string, rows []topology.Raw, stale [][]byte) error {
	batch := topology.Batch{Source: f.config.From, Epoch: f.epoch, From: from, To: to, Rows: rows, Stale: stale}
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := f.config.Sink.Apply(f.ctx, batch)
		switch {
		case err == nil || errors.Is(err, topology.ErrDuplicate):
			f.config.Counters.Steps.Add(1)
			f.config.Counters.Rows.Add(int64(len(rows)))
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
		if err := f.sleep(pause); err != nil {
			return err
		}
	}
}

// leaveOut does with a row that the target never takes what the policy says, and
// returns the other rows. The target keeps what it has under the row's name. A
// crash may repeat the dead letter: it is in no transaction.
func (f *Follower) leaveOut(rows []topology.Raw, why *topology.RowError) ([]topology.Raw, error) {
	i := slices.IndexFunc(rows, func(r topology.Raw) bool { return bytes.Equal(r.Key, why.Key) })
	policy := cmp.Or(f.config.Write, topology.Fail)
	if i < 0 {
		policy = topology.Fail // a sink that blames a row it was not given
	}
	err := &topology.RecordError{Node: f.what(), Policy: policy, Err: fmt.Errorf("table %s: %w", f.config.From, why)}
	if i >= 0 {
		err.Position = rows[i].Position
	}
	switch policy {
	case topology.Skip:
		f.config.Counters.Skipped.Add(1)
		f.config.Log.Warn("row left out of a sink", "error", err)
	case topology.DeadLetter:
		if lost := f.config.Session.DeadLetter(f.ctx, rows[i], err); lost != nil {
			return nil, lost
		}
		f.config.Counters.DeadLetters.Add(1)
		f.config.Log.Warn("row left out of a sink, and copied to dead letters", "error", err)
	default:
		return nil, err
	}
	return slices.Concat(rows[:i], rows[i+1:]), nil
}
