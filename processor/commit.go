package processor

import (
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
)

const (
	firstTick   = 100 * time.Microsecond // from a transaction's first record until it is announced
	commitTick  = 500 * time.Microsecond // how often to look then whether the input has run dry
	commitRows  = 50_000                 // records of one task in a transaction
	commitBytes = 4 << 20                // of rows in a transaction, of all tasks
	farBehind   = 10_000                 // records of lag beyond which nobody waits for a single one
	stretch     = 5                      // times CommitInterval when far behind
	sendRows    = 20_000                 // rows of a task that go to the changelog before the commit does
)

// commitLoop sleeps until a record opens the transaction, and then looks every
// tick whether it is time.
func (s *session) commitLoop() {
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		select {
		case <-s.opened:
		case <-s.ctx.Done():
			return
		}
		began := time.Now()
		for wait, done := firstTick, false; !done; wait = commitTick {
			tick.Reset(wait)
			select {
			case <-tick.C:
			case <-s.ctx.Done():
				return
			}
			if wait == firstTick {
				s.announce()
			}
			s.gate.Lock()
			if done = s.due(time.Since(began)); done {
				s.commit()
			}
			s.gate.Unlock()
		}
	}
}

// announce tells Kafka which partitions the transaction is going to have, while
// records go on being processed into it.
func (s *session) announce() {
	partitions := map[string][]int32{}
	s.gate.Lock()
	for p, t := range s.tasks {
		for _, k := range t.stores {
			if t.touched && !t.closed && k.store.Waiting() > 0 {
				partitions[k.spec.Changelog] = append(partitions[k.spec.Changelog], p)
			}
		}
	}
	s.gate.Unlock()
	s.gate.RLock() // a commit must not come between, and one before does no harm
	defer s.gate.RUnlock()
	s.producer.Begin(partitions)
}

// due says whether to commit now: at once when the input has run dry, so that
// nobody waits; after the interval or the size when there is always more. The
// gate is held.
func (s *session) due(age time.Duration) bool {
	if s.balance.joining.Load() {
		return false // the generation is about to change: the broker would refuse the offsets
	}
	if s.ctx.Err() != nil {
		return false // tasks with records may have closed their stores
	}
	dry, full, held, interval := true, false, 0, s.config.CommitInterval
	for _, t := range s.tasks {
		dry = dry && t.dry()
		if !t.touched || t.closed {
			continue
		}
		behind := t.behind()
		dry = dry && behind < 1000 // nothing waits between two fetches either
		full = full || t.records >= commitRows
		held += t.held()
		if behind > farBehind {
			interval = min(stretch*s.config.CommitInterval, longestCommit)
		}
	}
	return dry || full || held >= commitBytes || age >= interval
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
		if t.last = t.releasing.Load(); t.last {
			m.owner = ""
		}
		for _, in := range t.inputs {
			if in.next < 0 {
				continue // nothing of it was ever read
			}
			offsets[in.topic] = append(offsets[in.topic], &sarama.PartitionOffsetMetadata{
				Partition: t.partition, Offset: in.next, LeaderEpoch: -1, Metadata: m.metadata(),
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
