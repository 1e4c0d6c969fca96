package processor

import (
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
)

const (
	commitRows  = 50_000  // records of one task in a transaction
	commitBytes = 4 << 20 // of rows in a transaction, of all tasks
	farBehind   = 10_000  // records of lag beyond which nobody waits for a single one
	stretch     = 5       // times CommitInterval when far behind
	sendRows    = 20_000  // rows of a task that go to the changelog before the commit does
)

// started is what the age of a transaction is measured from.
var started = time.Now()

// runTransactions owns the transaction: it decides when to commit, whenever
// something has happened that may be a reason. It ends with the session.
func (s *session) runTransactions() {
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	for announced := false; ; {
		select {
		case <-s.reasons:
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		due, wait := s.due()
		switch {
		case due:
			s.gate.Lock()
			s.commit()
			s.gate.Unlock()
			s.settled.Ring()
			announced = false
		case wait > 0:
			if !announced {
				s.announce()
				announced = true
			}
			tick.Reset(wait)
		}
	}
}

// wake says that there may be a reason to commit.
func (s *session) wake() {
	select {
	case s.reasons <- struct{}{}:
	default:
	}
}

// announce tells Kafka which partitions the transaction is going to have, while
// records go on being processed into it.
func (s *session) announce() {
	partitions := map[string][]int32{}
	s.gate.Lock()
	for p, t := range s.tasks {
		for _, k := range t.stores {
			if t.touched && t.open() && k.store.Waiting() > 0 {
				partitions[k.Changelog] = append(partitions[k.Changelog], p)
			}
		}
	}
	s.gate.Unlock()
	s.producer.Begin(partitions)
}

// due says whether to commit now: at once when a task begins or ends, or when there
// is nothing more to process, so that nobody waits; after the interval or the size
// when there is always more. Else it says how long to wait, 0 if nothing is open.
func (s *session) due() (now bool, wait time.Duration) {
	tasks := *s.listed.Load()
	in := func(phase int32) bool {
		return slices.ContainsFunc(tasks, func(t *task) bool { return t.phase.Load() == phase })
	}
	switch {
	case s.ctx.Err() != nil:
		return false, 0 // tasks with records may have closed their stores
	case in(releasing):
		return true, 0
	case s.balance.joining.Load():
		return false, 0 // the generation is about to change: the broker would refuse the offsets
	case in(claiming):
		return true, 0
	}
	begun := s.begun.Load()
	if begun == 0 {
		return false, 0
	}
	idle, interval := true, s.config.CommitInterval
	for _, t := range tasks {
		idle = idle && t.idle.Load()
		now = now || t.large.Load()
		if t.behind.Load() > farBehind {
			interval = min(stretch*s.config.CommitInterval, longestCommit)
		}
	}
	age := time.Since(started) - time.Duration(begun)
	return now || idle || age >= interval, interval - age
}

// commit ends the open transaction and begins the next. The gate is held for
// writing. This is the only place that knows the order of things.
func (s *session) commit() {
	var tasks []*task
	for _, t := range s.tasks {
		if t.takesPart() {
			tasks = append(tasks, t)
		}
	}
	if s.ctx.Err() != nil {
		return
	}
	s.begun.Store(0)
	if len(tasks) == 0 { // announced, and the tasks were released meanwhile
		if err := s.producer.Abort(); err != nil {
			s.fail(err)
		}
		return
	}
	began := time.Now()

	what := "Kafka to take a commit of " + s.String()
	s.waits.Expect(what, "", "is a broker down, or are fewer replicas in sync than min.insync.replicas says, of the topics, __transaction_state or __consumer_offsets?")
	defer s.waits.Clear(what, "")

	// 1. What runs has finished, and new records wait at the gate. The last rows
	// are on their way to the changelog.
	for _, t := range tasks {
		t.sendRows(0)
	}
	s.producer.Push()
	s.step(1)

	// 2. The brokers have every record, and the offsets join the transaction. A
	// stale owner is refused here.
	err := s.producer.AddOffsets(s.offsets(tasks), s.membership())
	s.step(2)

	// 3. The transaction is committed. If the answer is lost, the changelog and
	// the group's offsets tell the next session what became of it.
	if err == nil {
		err = s.producer.Commit()
	}
	s.step(3)
	if err != nil {
		s.fail(err)
		return
	}

	// 4. The rows go to LevelDB, each task's as one batch with its position. From
	// now on views show them, and the sinks are told.
	for _, t := range tasks {
		if err := t.committed(); err != nil {
			s.fail(err)
			return
		}
	}
	s.step(4)

	// 5. The next transaction has begun; the caller opens the gate.
	s.counts.commits.Add(1)
	s.counts.commitTime.Add(int64(time.Since(began)))
}

// offsets are where the group goes on. Their metadata says whose the partition
// is, unless it is given up, where the task's clocks stand, and what its tables are.
func (s *session) offsets(tasks []*task) kafka.Offsets {
	offsets := kafka.Offsets{}
	for _, t := range tasks {
		m := marks{owner: s.owner(), clocks: t.clocks(), tables: t.tables(), strays: s.strayed.Load()}
		if t.last = t.phase.Load() == releasing; t.last {
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
	return offsets
}

// membership fences a zombie: the broker takes offsets only from the member,
// and of the generation, that owns the partitions.
func (s *session) membership() *sarama.ConsumerGroupMetadata {
	return &sarama.ConsumerGroupMetadata{
		GroupID: s.group.Name, GenerationID: s.balance.generation.Load(),
		MemberID: s.joined.MemberID(), GroupInstanceID: &s.instance,
	}
}

// step tells tests that a step of the commit is over.
func (s *session) step(n int) {
	if s.onStep != nil {
		s.onStep(n)
	}
}
