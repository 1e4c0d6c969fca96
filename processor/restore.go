package processor

import (
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/topology"
)

// openStore opens the task's table and restores what it lacks from its
// changelog, to the end. What the local table has is used as it is.
func (t *task) openStore() error {
	if t.partition >= t.partitions {
		return &startError{fmt.Errorf("input topic %q has grown beyond %d partitions: a table cannot be repartitioned, start it under another name", t.group.Input, t.partitions)}
	}
	source, err := t.incarnation(t.group.Table)
	if err != nil {
		return err
	}
	start, end, err := t.changelog().Bounds()
	if err != nil {
		return err
	}
	dir := filepath.Join(t.config.StateDir, t.group.Store, strconv.Itoa(int(t.partition)))
	s, wiped, err := store.Open(dir, store.Options{EveryChange: t.group.EveryChange}, func(o store.Origin) error {
		switch {
		case o.Position == 0: // it has no rows
			return nil
		case o.Source != source:
			return fmt.Errorf("it belongs to another incarnation of topic %s", t.group.Table)
		case o.Position > end:
			return fmt.Errorf("it is at %d, but its changelog ends at %d", o.Position, end)
		case o.Position < start:
			return fmt.Errorf("it is at %d, but its changelog begins at %d", o.Position, start)
		case o.Position < end && time.Since(o.Saved) > t.retention:
			return fmt.Errorf("it was left %v ago, and the changelog keeps tombstones for %v", time.Since(o.Saved).Round(time.Second), t.retention)
		}
		return nil
	})
	if err != nil {
		return err
	}
	t.source, t.store = source, s
	if t.core, err = t.group.NewTask(t.partition, func(string) topology.Rows { return storeRows{s} }, "", t.config.Policies); err != nil {
		return err
	}
	if wiped != "" {
		t.log.Warn("local table wiped, to be restored from its changelog", "table", t.group.Store, "partition", t.partition, "reason", wiped)
	}
	if err := s.Begin(source); err != nil {
		return err
	}
	return t.restore(max(s.Position(), start), end)
}

func (t *task) closeStore() error {
	if t.store == nil {
		return nil
	}
	s := t.store
	t.view.Store(nil)
	t.store = nil
	return s.Close(t.closed && t.session.ctx.Err() == nil)
}

const restoreBytes = 4 << 20 // of rows between two batches of a restore

// restore applies the committed records of the changelog from one offset to
// another. It waits for transactions that are still open there, since they may
// yet be committed (KAFKA-10167). Compaction may remove records meanwhile: a
// key's newest record stays, and tombstones stay for the topic's
// delete.retention.ms, so that nothing is missed unless the restore takes longer.
func (t *task) restore(from, end int64) error {
	changes, s := t.changelog(), t.store
	began, count, waited := time.Now(), 0, time.Duration(0)
	next := from
	t.left.Store(end - next)
	t.update()
	for next < end {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		asked := time.Now()
		reached, stable, err := changes.Read(next, 100*time.Millisecond, func(r *sarama.Record, offset int64, at time.Time) error {
			count++
			t.checkPartition(r.Key)
			s.Put(r.Key, r.Value, at.UnixMilli())
			if s.Held() < restoreBytes {
				return nil
			}
			return s.Commit(offset + 1)
		})
		if err != nil {
			return fmt.Errorf("restoring table %s/%d: %w", t.group.Store, t.partition, err)
		}
		if reached == next {
			if stable >= end {
				break // the rest was compacted away
			}
			waited += time.Since(asked)
		}
		next = reached
		t.left.Store(max(0, end-next))
	}
	if err := s.Commit(end); err != nil {
		return err
	}
	t.left.Store(0)
	t.counts.restored.Add(int64(count))
	if took := time.Since(began); count > 0 || waited > 0 {
		t.log.Info("table restored", "table", t.group.Store, "partition", t.partition, "records", count,
			"from", from, "to", end, "took", took.Round(time.Millisecond), "waited", waited.Round(time.Millisecond))
		if took > t.retention {
			return fmt.Errorf("restoring table %s/%d took %v, and its changelog keeps tombstones for %v: raise delete.retention.ms of %s",
				t.group.Store, t.partition, took, t.retention, t.group.Table)
		}
	}
	return nil
}
