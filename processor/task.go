package processor

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/tidemark-dev/tidemark/topology"
)

// A task owns one partition number of all inputs of its group: one stock
// goka.Processor around the pure task of the topology, and its stores. The
// fields below the line are guarded by the session's gate: a batch in process
// holds it for reading and is the only one to write them while a commit, which
// holds it for writing, is not.
type task struct {
	*session
	partition int32
	inputs    []*input // by topic; complete once gathered is closed
	gathered  chan struct{}
	ended     chan struct{} // the claims may go back
	stores    []*kept       // as in the group
	legacy    legacy
	core      *topology.Task // nil while the stores are not open
	opening   error          // why they could not be opened
	turns     chan func()    // what goka's next callbacks do
	merge     *merge         // of several inputs; nil for one

	ctx    context.Context // ends when the partition is revoked, or with the session
	revoke context.CancelFunc
	stop   context.CancelFunc // ends goka's Run

	serving   atomic.Bool // restored, and processing
	releasing atomic.Bool // the next commit is the task's last

	// ---
	own      bool // the partition is marked as ours
	claiming bool // the next commit marks it
	last     bool // the commit under way is the task's last
	closed   bool // no effects any more
	touched  bool // it has a part in the open transaction
	records  int  // processed in the open transaction
}

func newTask(s *session, partition int32) *task {
	t := &task{
		session: s, partition: partition, gathered: make(chan struct{}), ended: make(chan struct{}),
		turns: make(chan func(), 32),
	}
	t.ctx, t.revoke = context.WithCancel(s.ctx)
	for i := range s.group.Stores {
		t.stores = append(t.stores, newKept(t, &s.group.Stores[i]))
	}
	return t
}

// claims returns the inputs, none while the group is still handing them over.
func (t *task) claims() []*input {
	select {
	case <-t.gathered:
		return t.inputs
	default:
		return nil
	}
}

// kept returns a store of the task.
func (t *task) kept(name string) *kept {
	return t.stores[slices.IndexFunc(t.stores, func(k *kept) bool { return k.spec.Name == name })]
}

// ready tells whether the tables are restored and served.
func (t *task) ready() bool { return t.serving.Load() }

// serve shows the tables to views.
func (t *task) serve() {
	for _, k := range t.stores {
		k.serve()
	}
	t.serving.Store(true)
	t.update()
}

// begin marks the partition as ours, before its first record is processed.
func (t *task) begin() error {
	for _, in := range t.inputs {
		if err := in.begin(t.client); err != nil {
			return err
		}
	}
	for { // one commit may mark several tasks
		settled := t.balance.settled.Next()
		t.gate.Lock()
		revoked := t.ctx.Err()
		if t.claiming = !t.own && revoked == nil; t.claiming && !t.balance.joining.Load() {
			t.commit()
		}
		own := t.own
		t.gate.Unlock()
		if own {
			return nil
		}
		if revoked != nil {
			return revoked // and unmarked, for a mark would have the next owner fence us
		}
		select {
		case <-settled: // the commit that the rebalance held up
		case <-t.ctx.Done():
		}
	}
}

// release ends the task's part in the transaction: its progress is committed,
// and the partition is marked as nobody's.
func (t *task) release() {
	t.releasing.Store(true)
	t.gate.Lock()
	defer t.gate.Unlock()
	if !t.closed {
		t.commit() // of all tasks that are being released
	}
	t.closed = true
}

// giveBack marks a partition as nobody's that was ours from before, and of which
// no record was processed.
func (t *task) giveBack() error {
	err := t.closeStores() // what it has restored is nothing to write
	if t.own {
		t.release()
	}
	return err
}

// takesPart tells whether the task has something for the next commit.
func (t *task) takesPart() bool {
	return !t.closed && (t.touched || t.claiming || t.releasing.Load() && t.own)
}

// committed takes over what the transaction has committed.
func (t *task) committed() error {
	defer func(records int64) {
		t.counts.records.Add(records) // last: who sees these finds the rows in a view
		for _, in := range t.inputs {
			in.progress.Store(in.next)
		}
	}(int64(t.records))
	if t.records > 0 {
		t.holds.release(t.partition)
	}
	t.records, t.touched, t.claiming = 0, false, false
	t.own, t.closed = !t.last, t.last
	var errs []error
	for _, k := range t.stores {
		errs = append(errs, k.committed())
	}
	return errors.Join(errs...)
}

// sendRows queues rows of stores that have more of them than keep.
func (t *task) sendRows(keep int) (sent bool) {
	for _, k := range t.stores {
		sent = k.sendRows(keep) || sent
	}
	return sent
}

// held returns the bytes of rows that the open transaction holds.
func (t *task) held() (n int) {
	for _, k := range t.stores {
		n += k.store.Held()
	}
	return n
}

// clocks are the task's, for the next task of the partition.
func (t *task) clocks() string {
	if t.core == nil { // it was revoked before it began
		return t.legacy.clocks
	}
	return t.core.Clocks()
}

// dry tells whether nothing is there that can be processed now.
func (t *task) dry() bool {
	if t.merge != nil {
		return t.merge.idle.Load()
	}
	for _, in := range t.claims() {
		if len(in.claim.Messages()) > 0 {
			return false
		}
	}
	return true
}

// behind returns how far the task's inputs are behind.
func (t *task) behind() (n int64) {
	for _, in := range t.claims() {
		n += max(0, in.behind())
	}
	return n
}

// tasks returns the member's tasks, by partition.
func (m *member) tasks() []*task {
	if s := m.session.Load(); s != nil {
		return *s.listed.Load()
	}
	return nil
}

func byPartition(a, b *task) int { return cmp.Compare(a.partition, b.partition) }
