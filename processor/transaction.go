package processor

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/internal/notify"
)

// transactions are a session's, one after the other. Their owner is the goroutine
// of run: it alone commits, and decides when. Whoever has a reason wakes it.
type transactions struct {
	producer   writer
	tasks      func() []part // of the session, safe for concurrent use
	membership func() *sarama.ConsumerGroupMetadata
	interval   time.Duration // after which records are committed though there are more
	rejoining  *atomic.Bool  // the generation is about to change
	over       context.Context
	fail       func(error) // ends the session
	waits      waits
	what       string // is waited for during a commit
	counts     *counters
	onStep     func(step int) // of a commit, for tests; may be nil

	// gate: a task holds it for reading during a turn, which so takes part in the
	// open transaction as a whole. A commit holds it for writing. It is locked
	// before everything else.
	gate sync.RWMutex

	reasons chan struct{} // to commit, perhaps; room for one
	settled notify.Bell   // a commit is over
	begun   atomic.Int64  // when the open transaction got its first record, since started; 0 if it has none
	bytes   atomic.Int64  // of rows in the open transaction
}

// A writer is the part of a [kafka.Producer] that a commit uses.
type writer interface {
	Begin(partitions map[string][]int32)
	Push()
	AddOffsets(offsets kafka.Offsets, m *sarama.ConsumerGroupMetadata) error
	Commit() error
	Abort() error
}

// waits say what is waited for, see [waiting.Waits].
type waits interface {
	Expect(what, place, text string)
	Clear(what, place string)
}

// A part is what a task has in a transaction.
type part interface {
	// These are safe for concurrent use.
	number() int32 // of its partition
	in(phase int32) bool
	isIdle() bool   // there is nothing to process, here or on its way
	isLarge() bool  // its part is large enough to commit
	isBehind() bool // so far that nobody waits for a single record

	// These are called while the gate is held for writing.
	takesPart() bool
	changelogs() []string             // that get rows
	sendRows(keep int) bool           // to the changelogs
	addOffsets(offsets kafka.Offsets) // where the group goes on
	committed() error                 // takes over what was committed
}

const (
	commitRows  = 50_000  // records of one task in a transaction
	commitBytes = 4 << 20 // of rows in a transaction, of all tasks
	farBehind   = 10_000  // records of lag beyond which nobody waits for a single one
	stretch     = 5       // times CommitInterval when far behind
	sendRows    = 20_000  // rows of a task that go to the changelog before the commit does
)

// started is what the age of a transaction is measured from.
var started = time.Now()

// run commits until the session is over.
func (x *transactions) run() {
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	for announced := false; ; {
		select {
		case <-x.reasons:
		case <-tick.C:
		case <-x.over.Done():
			return
		}
		due, wait := x.due()
		switch {
		case due:
			if x.settle() {
				announced = false
			}
		case wait > 0:
			if !announced {
				x.announce()
				announced = true
			}
			tick.Reset(wait)
		}
	}
}

// settle commits if it is due, and tells whether it was: a rebalance may have begun
// before the gate was closed.
func (x *transactions) settle() bool {
	x.gate.Lock()
	defer x.gate.Unlock()
	due, _ := x.due()
	if due {
		x.commit()
		x.settled.Ring()
	}
	return due
}

// wake says that there may be a reason to commit.
func (x *transactions) wake() {
	select {
	case x.reasons <- struct{}{}:
	default:
	}
}

// grow adds rows to the open transaction, which has begun then, and tells whether it
// is large enough to commit.
func (x *transactions) grow(bytes int) (begun, large bool) {
	begun = x.begun.CompareAndSwap(0, int64(time.Since(started)))
	return begun, x.bytes.Add(int64(bytes)) >= commitBytes
}

// due says whether to commit now: at once when a task begins or ends, or when there
// is nothing more to process, so that nobody waits; after the interval or the size
// when there is always more. Else it says how long to wait, 0 if nothing is open.
func (x *transactions) due() (now bool, wait time.Duration) {
	tasks := x.tasks()
	in := func(phase int32) bool {
		return slices.ContainsFunc(tasks, func(t part) bool { return t.in(phase) })
	}
	switch {
	case x.over.Err() != nil:
		return false, 0 // tasks with records may have closed their stores
	case in(releasing):
		return true, 0
	case x.rejoining.Load():
		return false, 0 // the broker would refuse the offsets
	case in(claiming):
		return true, 0
	}
	begun := x.begun.Load()
	if begun == 0 {
		return false, 0
	}
	interval := x.interval
	if slices.ContainsFunc(tasks, part.isBehind) {
		interval = min(stretch*interval, longestCommit)
	}
	idle := !slices.ContainsFunc(tasks, func(t part) bool { return !t.isIdle() })
	age := time.Since(started) - time.Duration(begun)
	return idle || slices.ContainsFunc(tasks, part.isLarge) || age >= interval, interval - age
}

// announce tells Kafka which partitions the transaction is going to have, while
// records go on being processed into it.
func (x *transactions) announce() {
	partitions := map[string][]int32{}
	x.gate.Lock()
	for _, t := range x.tasks() {
		for _, changelog := range t.changelogs() {
			partitions[changelog] = append(partitions[changelog], t.number())
		}
	}
	x.gate.Unlock()
	defer x.waiting()()
	x.producer.Begin(partitions)
}

// commit ends the open transaction and begins the next. The gate is held for
// writing. This is the only place that knows the order of things.
func (x *transactions) commit() {
	tasks := slices.DeleteFunc(slices.Clone(x.tasks()), func(t part) bool { return !t.takesPart() })
	if x.over.Err() != nil {
		return
	}
	x.begun.Store(0)
	if len(tasks) == 0 { // announced, and the tasks were released meanwhile
		if err := x.producer.Abort(); err != nil {
			x.fail(err)
		}
		return
	}
	began := time.Now()
	defer x.waiting()()

	// 1. What runs has finished, and new records wait at the gate. The last rows
	// are on their way to the changelog.
	offsets := kafka.Offsets{}
	for _, t := range tasks {
		t.sendRows(0)
		t.addOffsets(offsets)
	}
	x.producer.Push()
	x.step(1)

	// 2. The brokers have every record, and the offsets join the transaction. A
	// stale owner is refused here.
	err := x.producer.AddOffsets(offsets, x.membership())
	x.step(2)

	// 3. The transaction is committed. If the answer is lost, the changelog and
	// the group's offsets tell the next session what became of it.
	if err == nil {
		err = x.producer.Commit()
	}
	x.step(3)
	if err != nil {
		x.fail(err)
		return
	}

	// 4. The rows go to LevelDB, each task's as one batch with its position. From
	// now on views show them, and the sinks are told.
	for _, t := range tasks {
		if err := t.committed(); err != nil {
			x.fail(err)
			return
		}
	}
	x.step(4)

	// 5. The next transaction has begun; the caller opens the gate.
	x.counts.commits.Add(1)
	x.counts.commitTime.Add(int64(time.Since(began)))
}

// waiting says that Kafka is waited for, until done is called.
func (x *transactions) waiting() (done func()) {
	x.waits.Expect(x.what, "", "is a broker down, or are fewer replicas in sync than min.insync.replicas says, of the topics, __transaction_state or __consumer_offsets?")
	return func() { x.waits.Clear(x.what, "") }
}

// step tells tests that a step of the commit is over.
func (x *transactions) step(n int) {
	if x.onStep != nil {
		x.onStep(n)
	}
}
