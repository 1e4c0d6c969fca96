package processor

import (
	"context"

	"github.com/tidemark-dev/tidemark/internal/gokahost"
	"github.com/tidemark-dev/tidemark/internal/inputs"
)

// run is the task's life, until its partition is revoked or the session ends. It lives
// in a stock goka.Processor, whose group table is the task's first store.
func (t *task) run() (err error) {
	defer func() {
		if t.ctx.Err() != nil {
			err = nil // what fails because the partition is gone is no failure
		}
		t.revoke()
	}()
	if err := t.gather(); err != nil {
		return err
	}
	if t.legacy, err = t.session.takenOver(t.ctx, t.partition); err != nil {
		return err
	}
	t.transactions.gate.Lock()
	t.own = t.legacy.own
	t.transactions.gate.Unlock()
	t.merge = &inputs.Merge{Inputs: t.inputs, MaxIdle: t.processor.config.MaxTaskIdle, Time: t.happened}
	host := &gokahost.Host{
		Group: t.group.Name, Stream: t.inputs[0].Topic(), Partition: t.partition, Table: len(t.stores) > 0,
		Task: hosted{t}, Partitions: t.processor.client.Partitions, Context: t.ctx,
	}
	return host.Run()
}

// hosted is a task as goka's host sees it.
type hosted struct{ task *task }

func (h hosted) Open() error  { return h.task.openStores() }
func (h hosted) Close() error { return h.task.closeStores() }

func (h hosted) Get(key []byte) ([]byte, error) {
	row, err := h.task.stores[0].replica.Row(key)
	return row.Value, err
}

func (h hosted) Position() int64 { return h.task.stores[0].store.Position() }

func (h hosted) Begin(opened error) (work bool, err error) {
	t := h.task
	switch {
	case opened != nil && t.ctx.Err() != nil: // revoked during the restore
		return false, t.giveBack()
	case opened != nil:
		return false, opened
	case t.core == nil: // revoked while the stores were opened, and goka has closed them again
		return false, t.giveBack()
	}
	if err := t.begin(); err != nil {
		t.phase.Store(closed)
		t.unfetch()
		if t.claimed.Err() != nil { // a consequence
			err = t.session.failure()
		}
		return false, err
	}
	t.serve()
	t.follow()
	t.awaitHold()
	return true, nil
}

func (h hosted) Work(ctx context.Context, turn func(f func()) bool) { pumpTurns(ctx, h.task, turn) }

func (h hosted) End() {
	h.task.release()
	h.task.unfollow()
}
