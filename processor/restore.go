package processor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/topology"
)

// openStores opens the task's stores, and restores each of them beside the others.
func (t *task) openStores() error {
	if len(t.stores) > 0 && t.partition >= t.partitions {
		return &startError{fmt.Errorf("input topics %q have grown beyond %d partitions: a table cannot be repartitioned, start it under another name", t.group.Inputs, t.partitions)}
	}
	ctx, fail := context.WithCancelCause(t.ctx)
	defer fail(nil)
	var opening sync.WaitGroup
	for _, k := range t.stores {
		opening.Go(func() {
			if err := k.open(ctx); err != nil {
				fail(err) // the others need not go on
			}
		})
	}
	opening.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := t.checkBegun(); err != nil {
		return err
	}
	core, err := t.group.NewTask(t.partition, t.rows, t.legacy.clocks, t.config.Policies)
	if err != nil {
		return &startError{fmt.Errorf("metadata of the group's offsets: %w: was it written by a later version?", err)}
	}
	core.Limits, core.Outdated = t.limits.of, t.outdated
	t.core = core
	return nil
}

// rows are those of a store or a global table, for the topology.
func (t *task) rows(name string) topology.Rows {
	if g := t.global(name); g != nil {
		return g
	}
	for _, k := range t.stores {
		if k.Name == name {
			return taskRows{k.store, name}
		}
	}
	return nil // no group asks for a store of another one
}

func (t *task) closeStores() error {
	t.core = nil
	var errs []error
	for _, k := range t.stores {
		errs = append(errs, k.close())
	}
	return errors.Join(errs...)
}

// open opens the store and restores what it lacks from its changelog, to the
// end. What is on the disk is used as it is.
func (k *kept) open(ctx context.Context) error {
	var err error
	if k.source, err = k.incarnation(ctx, k.Changelog); err != nil {
		return err
	}
	note, err := k.noted()
	if err != nil {
		return err
	}
	start, end, err := k.bounds(ctx, note.end)
	if err != nil {
		return err
	}
	if err := k.checkNote(note, end); err != nil {
		return err
	}
	var refused error
	s, wiped, err := store.Open(filepath.Join(k.config.StateDir, k.Name, strconv.Itoa(int(k.partition))), k.options(),
		func(o store.Origin) (wipe error) {
			wipe, refused = k.fit(o, note, start, end)
			return wipe
		})
	if err != nil {
		return err
	}
	k.store = s
	if refused == nil {
		refused = k.checkStart(s.Position(), start, end)
	}
	if refused != nil {
		return refused
	}
	if wiped != "" {
		k.log.Warn("local table wiped, to be restored from its changelog", "table", k.Name, "partition", k.partition, "reason", wiped)
	}
	if cut := s.Cut(); cut != "" {
		k.log.Warn("what a local table wrote last was cut off, by a kill or by damage: it is restored from its changelog",
			"table", k.Name, "partition", k.partition, "position", s.Position(), "reason", cut)
	}
	if s.Stray() {
		k.noteStray() // and says nothing: it was said when it was new
	}
	if err := s.Begin(k.home().String()); err != nil {
		return err
	}
	k.filled = s.Position() > 0
	return k.restore(ctx, max(s.Position(), start), end)
}

func (k *kept) options() store.Options {
	return store.Options{
		EveryChange: k.EveryChange, Ordered: k.Ordered,
		Deadline: k.Deadline, DeadlineName: k.DeadlineName, DeadlineByKey: k.DeadlineByKey,
		Failed: func(err error) { k.fail(fmt.Errorf("store %s: %w", k, err)) }, // the next session wipes it
	}
}

func (k *kept) home() home {
	return k.task.home(k.Changelog, k.source, k.partition, k.Meaning)
}

// fit says why a local table is to be wiped, or why nobody may go on. A table that
// is neither is used as it is.
func (k *kept) fit(o store.Origin, note tableNote, start, end int64) (wipe, refuse error) {
	if o.Position == 0 { // it has no rows
		return nil, nil
	}
	is, err := parseHome(o.Source)
	if err == nil {
		err = k.home().differs(is)
	}
	retention := k.topics.retention[k.Changelog]
	switch {
	case err != nil:
		return err, nil
	case is.Meaning != k.Meaning && note.end > 0: // the changelog's rows are the program's
		return fmt.Errorf("its rows are %q, and the table's are %q", is.Meaning, k.Meaning), nil
	case is.Meaning != k.Meaning:
		return nil, k.otherMeaning(fmt.Sprintf(", those are %q", is.Meaning))
	case o.Position > end:
		return fmt.Errorf("it is at %d, but its changelog ends at %d", o.Position, end), nil
	case o.Position < start && k.checkStart(o.Position, start, end) != nil:
		return nil, k.checkStart(o.Position, start, end)
	case o.Position < start:
		return fmt.Errorf("it is at %d, but its changelog begins at %d", o.Position, start), nil
	case o.Position < end && time.Since(o.Saved) > retention:
		return fmt.Errorf("it was left %v ago, and the changelog keeps tombstones for %v", time.Since(o.Saved).Round(time.Second), retention), nil
	}
	return nil, nil
}

const restoreBytes = 4 << 20 // of rows between two batches of a restore

// restore applies the committed records of the changelog from one offset to
// another. It waits for transactions that are still open there, since they may
// yet be committed (KAFKA-10167). Compaction may remove records meanwhile: a
// key's newest record stays, and tombstones stay for the topic's
// delete.retention.ms, so that nothing is missed unless the restore takes longer.
func (k *kept) restore(ctx context.Context, from, end int64) error {
	changes, s := k.changelog(), k.store
	began, count, waited := time.Now(), 0, time.Duration(0)
	next := from
	k.left.Store(end - next)
	k.update()
	what, place := fmt.Sprintf("table %s to be restored", k.Name), strconv.Itoa(int(k.partition))
	defer k.waits.Clear(what, place)
	for next < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		asked := time.Now()
		reached, stable, err := changes.Read(next, 100*time.Millisecond, func(r *sarama.Record, offset int64, at time.Time) error {
			count++
			k.checkPartition(r.Key)
			s.Put(r.Key, r.Value, at.UnixMilli())
			if s.Held() < restoreBytes {
				return nil
			}
			return s.Commit(offset + 1)
		})
		if err != nil {
			return fmt.Errorf("restoring store %s: %w", k, err)
		}
		if reached == next {
			if stable >= end {
				break // the rest was compacted away
			}
			waited += time.Since(asked)
			k.waits.Expect(what, place, fmt.Sprintf("somebody's transaction is open in %s/%d at offset %d: it ends with its producer's next step, or its transaction.timeout.ms", k.Changelog, k.partition, stable))
		}
		if reached > next {
			k.waits.Expect(what, place, fmt.Sprintf("partition %d has %d changelog offsets to go", k.partition, max(0, end-reached)))
		}
		next = reached
		k.left.Store(max(0, end-next))
	}
	if err := s.Commit(end); err != nil {
		return err
	}
	k.left.Store(0)
	k.filled = k.filled || count > 0
	k.counts.restored.Add(int64(count))
	if took := time.Since(began); count > 0 || waited > 0 {
		k.log.Info("table restored", "table", k.Name, "partition", k.partition, "records", count,
			"from", from, "to", end, "took", took.Round(time.Millisecond), "waited", waited.Round(time.Millisecond))
		if retention := k.topics.retention[k.Changelog]; took > retention {
			return &startError{fmt.Errorf("restoring store %s took %v, and its changelog keeps tombstones for %v: raise delete.retention.ms of %s",
				k, took, retention, k.Changelog)}
		}
	}
	return nil
}
