package processor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/inputs"
	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// A task owns one partition number of all inputs of its group: one stock
// goka.Processor around the pure task of the topology, and its stores. The
// fields below the line are guarded by the session's gate: a turn holds it for
// reading and is the only one to write them while a commit, which holds it for
// writing, is not.
type task struct {
	processor    *Processor
	member       *member
	session      *session
	transactions *transactions
	group        *topology.Group
	log          *slog.Logger

	partition int32
	inputs    []*inputs.Input // by topic; complete once gathered is closed
	gathered  chan struct{}
	ended     chan struct{} // the claims may go back
	arrived   chan struct{} // an input has news
	stores    []*kept       // as in the group
	legacy    legacy
	core      *topology.Task // nil while the stores are not open
	renewed   []string       // topics whose limits were asked for since the last call that was not refused by them
	merge     *inputs.Merge

	ctx     context.Context // ends when the partition is revoked, or with the session
	revoke  context.CancelFunc
	claimed context.Context // ends with ctx, or when sarama ends a claim
	unclaim context.CancelFunc

	phase  atomic.Int32
	idle   atomic.Bool  // there is nothing to process, here or on its way
	large  atomic.Bool  // the transaction is large enough
	behind atomic.Int64 // offsets of the inputs still to process

	// ---
	own     bool // the partition is marked as ours
	last    bool // the commit under way is the task's last
	touched bool // it has a part in the open transaction
	records int  // processed in the open transaction
	size    int  // bytes of its rows there
}

// The phases of a task, each of which is entered once.
const (
	restoring int32 = iota // or waiting for the other claims
	claiming               // the next commit marks the partition as ours
	running
	releasing // the next commit is the task's last
	closed    // no effects any more
)

func newTask(s *session, partition int32) *task {
	t := &task{
		processor: s.processor, member: s.member, session: s, transactions: s.transactions, group: s.group, log: s.log,
		partition: partition, gathered: make(chan struct{}), ended: make(chan struct{}),
		arrived: make(chan struct{}, 1),
	}
	t.ctx, t.revoke = context.WithCancel(s.ctx)
	t.claimed, t.unclaim = context.WithCancel(t.ctx)
	t.idle.Store(true)
	for i := range s.group.Stores {
		t.stores = append(t.stores, newKept(t, &s.group.Stores[i]))
	}
	return t
}

// news says that an input has something.
func (t *task) news() {
	select {
	case t.arrived <- struct{}{}:
	default:
	}
}

// claims returns the inputs, none while the group is still handing them over.
func (t *task) claims() []*inputs.Input {
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
func (t *task) ready() bool {
	p := t.phase.Load()
	return (p == running || p == releasing) && !slices.ContainsFunc(t.stores, func(k *kept) bool { return !k.replica.Ready() })
}

// open tells whether records may be processed. The gate is held for reading.
func (t *task) open() bool { return t.phase.Load() != closed && t.session.ctx.Err() == nil }

// serve shows the tables to views.
func (t *task) serve() {
	for _, k := range t.stores {
		k.serve()
	}
	t.phase.CompareAndSwap(claiming, running)
	t.member.processor.update()
}

// begin has the inputs fetched, and marks the partition as ours before its first
// record is processed.
func (t *task) begin() error {
	for _, in := range t.inputs {
		from, err := t.startOf(in)
		if err != nil {
			return err
		}
		in.Start(from)
		t.session.fetcher.Add(in)
	}
	t.phase.Store(claiming)
	for {
		committed := t.transactions.settled.Next()
		t.transactions.gate.RLock()
		own := t.own
		t.transactions.gate.RUnlock()
		if own {
			return nil
		}
		t.transactions.wake()
		select {
		case <-committed:
		case <-t.claimed.Done():
			t.transactions.gate.Lock()
			defer t.transactions.gate.Unlock()
			if t.own {
				return nil
			}
			t.phase.Store(closed) // and unmarked, for a mark would have the next owner fence us
			return t.claimed.Err()
		}
	}
}

// unfetch ends the fetching of the inputs: one that nobody empties would have its
// reader poll.
func (t *task) unfetch() {
	for _, in := range t.inputs {
		t.session.fetcher.Remove(in)
	}
}

// startOf returns where an input starts: at the log's start if nothing of it is
// committed.
func (t *task) startOf(in *inputs.Input) (int64, error) {
	if at := in.Next(); at >= 0 {
		return at, nil
	}
	start, err := t.processor.client.GetOffset(in.Topic(), in.Partition(), sarama.OffsetOldest)
	if err != nil {
		return 0, fmt.Errorf("start of %s: %w", in, err)
	}
	return start, nil
}

// rest notes that the task has nothing to process now. What it has processed need not
// wait for more, unless that is on its way.
func (t *task) rest() {
	if idle := !t.merge.Coming(); t.idle.Swap(idle) != idle && idle {
		t.transactions.wake()
	}
}

// release ends the task's part in the transaction: its progress is committed,
// and the partition is marked as nobody's.
func (t *task) release() {
	t.unfetch()
	for {
		committed := t.transactions.settled.Next()
		t.transactions.gate.Lock()
		switch {
		case t.session.ctx.Err() != nil, !t.own && !t.touched:
			t.phase.Store(closed)
		case t.phase.Load() != closed:
			t.phase.Store(releasing)
		}
		over := t.phase.Load() == closed
		t.transactions.gate.Unlock()
		if over {
			return
		}
		t.transactions.wake()
		select {
		case <-committed:
		case <-t.session.ctx.Done():
		}
	}
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

func (t *task) number() int32       { return t.partition }
func (t *task) in(phase int32) bool { return t.phase.Load() == phase }
func (t *task) isIdle() bool        { return t.idle.Load() }
func (t *task) isLarge() bool       { return t.large.Load() }
func (t *task) isBehind() bool      { return t.behind.Load() > farBehind }

// changelogs are those that get rows in the open transaction.
func (t *task) changelogs() (topics []string) {
	if !t.touched || !t.open() {
		return nil
	}
	for _, k := range t.stores {
		if k.store.Waiting() > 0 {
			topics = append(topics, k.spec.Changelog)
		}
	}
	return topics
}

// addOffsets says where the group goes on. The metadata says whose the partition is,
// unless it is given up, where the task's clocks stand, and what its tables are.
func (t *task) addOffsets(offsets kafka.Offsets) {
	m := marks{owner: t.session.owner(), clocks: t.clocks(), tables: t.tables(), strays: t.member.strayed.Load()}
	if t.last = t.in(releasing); t.last {
		m.owner = ""
	}
	for _, in := range t.inputs {
		at := in.Next()
		if at < 0 {
			continue // nothing of it was ever read
		}
		offsets[in.Topic()] = append(offsets[in.Topic()], &sarama.PartitionOffsetMetadata{
			Partition: t.partition, Offset: at, LeaderEpoch: -1, Metadata: m.metadata(),
		})
		m.clocks, m.tables = "", ""
	}
}

// takesPart tells whether the task has something for the next commit.
func (t *task) takesPart() bool {
	switch t.phase.Load() {
	case closed:
		return false
	case claiming:
		return true
	case releasing:
		return t.touched || t.own
	}
	return t.touched
}

// committed takes over what the transaction has committed.
func (t *task) committed() error {
	defer func(records int64) {
		t.processor.counts.records.Add(records) // last: who sees these finds the rows in a view
		for _, in := range t.inputs {
			in.Committed()
		}
	}(int64(t.records))
	if t.records > 0 {
		t.member.holds.release(t.partition)
	}
	t.transactions.bytes.Add(-int64(t.size))
	t.records, t.size, t.touched = 0, 0, false
	t.large.Store(false)
	if t.own = !t.last; t.last {
		t.phase.Store(closed)
	}
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

// tasks returns the member's tasks, by partition.
func (m *member) tasks() []*task {
	if s := m.session.Load(); s != nil {
		return *s.listed.Load()
	}
	return nil
}

func byPartition(a, b *task) int { return cmp.Compare(a.partition, b.partition) }
