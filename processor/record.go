package processor

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// look tells whether there is a record to take, and if not, when to look again. A commit
// reads the inputs, so that the gate is held.
func (t *task) look() (ready bool, again time.Duration) {
	t.transactions.gate.RLock()
	defer t.transactions.gate.RUnlock()
	return t.merge.Ready(time.Now())
}

// take processes records while it is known which one is next, in one transaction
// unless they have very many effects.
func (t *task) take() { t.goesOn(t.some()) }

// some is take, and returns why a record could not be processed.
func (t *task) some() (err error) {
	t.transactions.gate.RLock()
	defer t.transactions.gate.RUnlock()
	if !t.open() {
		return nil
	}
	n := 0
	for ; n < batchSize && !t.full(); n++ {
		in := t.merge.Next()
		if in == nil {
			break
		}
		if err = t.record(*in.Record()); err != nil {
			break
		}
		in.Pass()
	}
	if n > 0 {
		t.processed(n)
	}
	return err
}

// goesOn tells whether the task goes on after an error, which ends the session
// otherwise. It goes on where limits may be outdated: they are asked for again, and
// the call is made again. The gate is not held, so that others commit meanwhile.
func (t *task) goesOn(err error) bool {
	if e, ok := errors.AsType[*topology.OutdatedError](err); ok {
		err = t.renew(e.Topic)
	}
	if err != nil && t.ctx.Err() == nil {
		t.session.fail(err)
	}
	return err == nil
}

// happened is when a record happened. If the topology can't say it will refuse
// the record, too.
func (t *task) happened(r topology.Raw) (at time.Time) {
	defer func() {
		if recover() != nil {
			at = r.Time
		}
	}()
	return t.core.Time(r)
}

// full tells whether the task holds as much as a commit takes. The gate is held
// for reading.
func (t *task) full() bool { return t.held() >= commitBytes }

// room waits until the task is not full any more: until the next commit. It
// returns false if the task is over.
func (t *task) room() bool {
	for {
		committed := t.transactions.settled.Next()
		t.transactions.gate.RLock()
		full, open := t.full(), t.open()
		t.transactions.gate.RUnlock()
		switch {
		case !open:
			return false
		case !full:
			return true
		}
		select {
		case <-committed:
		case <-t.ctx.Done():
			return false
		}
	}
}

// advance runs the timers that are due. What they do is in the transaction as a
// record's effects are.
func (t *task) advance() {
	for {
		if err := t.fire(); err == nil || !t.goesOn(err) {
			return
		}
	}
}

func (t *task) fire() error {
	t.transactions.gate.RLock()
	defer t.transactions.gate.RUnlock()
	if !t.open() {
		return nil
	}
	w, err := t.core.Advance(time.Now())
	if err == nil && len(w.Rows)+len(w.Records) > 0 {
		err = t.write(&w)
		t.processed(0)
	}
	if err != nil {
		return fmt.Errorf("timers of partition %d: %w", t.partition, err)
	}
	t.renewed = nil
	return nil
}

// processed notes that the task has a part in the open transaction, and how large
// that is. The gate is held for reading.
func (t *task) processed(records int) {
	if t.sendRows(sendRows) {
		t.session.producer.Push()
	}
	t.records += records
	grown := t.held() - t.size
	t.size += grown
	t.touched = true
	begun, large := t.transactions.grow(grown)
	t.large.Store(large || t.records >= commitRows)
	t.behind.Store(t.merge.Behind())
	if begun || t.large.Load() {
		t.transactions.wake()
	}
}

func (t *task) record(r topology.Raw) error {
	w, err := t.core.Process(r)
	if err != nil {
		err = t.refused(r, err)
	} else {
		err = t.write(&w)
	}
	if err == nil {
		t.renewed = nil
	}
	return err
}

// write puts the effects of a call into the open transaction.
func (t *task) write(w *topology.Writes) error {
	for i := range w.Rows {
		row := &w.Rows[i]
		t.kept(row.Store).store.Put(row.Key, row.Value, row.Time)
	}
	for i := range w.Records {
		if err := t.publish(&w.Records[i]); err != nil {
			return err
		}
	}
	if w.Dropped {
		t.processor.counts.dropped[w.DropReason].Add(1)
	}
	for _, r := range w.Refused {
		err := t.leaveOut(r.Raw, r.Policy, r.Err)
		if e, ok := errors.AsType[*topology.OutdatedError](err); ok {
			// The call cannot be made again any more.
			if err = t.renew(e.Topic); err == nil {
				err = t.leaveOut(r.Raw, r.Policy, r.Err)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *task) publish(r *topology.Output) error {
	partition, err := t.member.partitionOf(r.Topic, r.PartitionKey)
	if err != nil {
		return err
	}
	if err := t.member.holds.check(t.partition, r.Topic, partition); err != nil {
		return err
	}
	publish(t.session.producer, partition, &r.Raw)
	t.processor.counts.published.Add(1)
	return nil
}

// publish gives a record to a producer, with its headers and its time.
func publish(to *kafka.Producer, partition int32, r *topology.Raw) {
	var headers []*sarama.RecordHeader
	for _, h := range r.Headers {
		headers = append(headers, &sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
	}
	to.Publish(r.Topic, partition, r.Key, r.Value, headers, millis(r.Time))
}

// refused does with a record what its policy says, or returns the error.
func (t *task) refused(r topology.Raw, err error) error {
	e, ok := errors.AsType[*topology.RecordError](err)
	if as[*topology.OutdatedError](err) {
		return err
	}
	if !ok {
		return fmt.Errorf("record %s: %w", r.Position, err)
	}
	return t.leaveOut(r, e.Policy, e)
}

// leaveOut does with a record that is refused what a policy says, or returns the
// error.
func (t *task) leaveOut(r topology.Raw, policy topology.Policy, err error) error {
	switch policy {
	case topology.Skip:
		t.processor.counts.skipped.Add(1)
		t.log.Warn("record skipped", "error", err)
		return nil
	case topology.DeadLetter:
		if lost := t.deadLetter(r, err); lost != nil {
			return errors.Join(err, lost)
		}
		t.processor.counts.deadLetters.Add(1)
		t.log.Warn("record moved to dead letters", "error", err)
		return nil
	default:
		return err
	}
}

// millis is a time as Kafka writes it; now, if there is none, or one that a record
// cannot have: that of a dead letter may be.
func millis(t time.Time) int64 {
	if s := t.Unix(); s < 0 || s > topology.MaxTime/1000 || t.UnixMilli() > topology.MaxTime {
		return time.Now().UnixMilli()
	}
	return t.UnixMilli()
}
