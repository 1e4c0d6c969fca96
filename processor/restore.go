package processor

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tidemark-dev/tidemark/internal/replica"
	"github.com/tidemark-dev/tidemark/topology"
)

// openStores opens the task's stores, and restores each of them beside the others.
func (t *task) openStores() error {
	if len(t.stores) > 0 && t.partition >= t.member.partitions {
		return &startError{fmt.Errorf("input topics %q have grown beyond %d partitions: a table cannot be repartitioned, start it under another name", t.group.Inputs, t.member.partitions)}
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
	core, err := t.group.NewTask(t.partition, t.rows, t.legacy.clocks, t.processor.config.Policies)
	if err != nil {
		return &startError{fmt.Errorf("metadata of the group's offsets: %w: was it written by a later version?", err)}
	}
	core.Limits, core.Outdated = t.processor.limits.of, t.outdated
	t.core = core
	return nil
}

// rows are those of a store or a global table, for the topology.
func (t *task) rows(name string) topology.Rows {
	if g := t.processor.global(name); g != nil {
		return g
	}
	for _, k := range t.stores {
		if k.spec.Name == name {
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

// open opens the store and restores what it lacks from its changelog, to the end.
func (k *kept) open(ctx context.Context) error {
	t := k.task
	source, err := t.processor.incarnation(ctx, k.spec.Changelog)
	if err != nil {
		return err
	}
	note, err := k.noted()
	if err != nil {
		return err
	}
	changelog, err := k.bounds(ctx, note.end)
	if err != nil {
		return err
	}
	if err := k.checkNote(note, source, changelog.End); err != nil {
		return err
	}
	home := replica.Home{Cluster: t.processor.clusterID(), Application: t.processor.topology.Application(), TopicID: source, Meaning: k.spec.Meaning}
	if err := k.replica.Open(home, []replica.Span{changelog}, k.fits(note, changelog)); err != nil {
		return err
	}
	k.store = k.replica.Store()
	if err := k.checkStart(k.store.Position(), changelog); err != nil {
		return err
	}
	if k.store.Stray() {
		t.member.noteStray() // and logs nothing: it was logged when it was new
	}
	t.processor.update()
	restored, err := k.replica.Restore(ctx, changelog.End, k.checkPartition)
	t.processor.counts.restored.Add(int64(restored))
	if as[*replica.SlowError](err) {
		return &startError{err}
	}
	return err
}
