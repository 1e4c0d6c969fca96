package processor

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// process runs a batch of records of the task's only input, in one transaction
// unless they have very many effects.
func (t *task) process(batch []*sarama.ConsumerMessage) {
	for len(batch) > 0 && t.room() {
		n, err := t.some(batch)
		if n == 0 && err == nil || !t.goesOn(err) {
			return
		}
		batch = batch[n:]
	}
}

// some runs the first records of a batch, until the task is full or a record fails,
// and returns how many: none, and no error, if the session is over.
func (t *task) some(batch []*sarama.ConsumerMessage) (n int, err error) {
	t.gate.RLock()
	defer t.gate.RUnlock()
	if t.closed || t.session.ctx.Err() != nil {
		return 0, nil
	}
	for n < len(batch) && !t.full() {
		if err = t.record(rawOf(batch[n])); err != nil {
			break
		}
		n++
	}
	if n > 0 {
		t.inputs[0].next = batch[n-1].Offset + 1
		t.processed(n)
	}
	return n, err
}

// goesOn tells whether the task goes on after an error, which ends the session
// otherwise. It goes on where limits may be outdated: they are asked for again, and
// the call is made again. The gate is not held, so that others commit meanwhile.
func (t *task) goesOn(err error) bool {
	if e, ok := errors.AsType[*topology.OutdatedError](err); ok {
		err = t.renew(e.Topic)
	}
	if err != nil && t.ctx.Err() == nil {
		t.fail(err)
	}
	return err == nil
}

// full tells whether the task holds as much as a commit takes. The gate is held
// for reading.
func (t *task) full() bool { return t.held() >= commitBytes }

// room waits until the task is not full any more: until the next commit. It
// returns false if the task is over.
func (t *task) room() bool {
	for {
		t.gate.RLock()
		full, closed := !t.closed && t.full(), t.closed
		t.gate.RUnlock()
		switch {
		case closed:
			return false
		case !full:
			return true
		}
		if sleep(t.ctx, commitTick) != nil {
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
	t.gate.RLock()
	defer t.gate.RUnlock()
	if t.closed || t.session.ctx.Err() != nil {
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

// processed notes that the task has a part in the open transaction. The gate is
// held for reading.
func (t *task) processed(records int) {
	if t.sendRows(sendRows) {
		t.producer.Push()
	}
	t.records += records
	if t.touched {
		return
	}
	t.touched = true
	select {
	case t.opened <- struct{}{}:
	default:
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
		t.counts.dropped[w.DropReason].Add(1)
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
	partition, err := t.partitionOf(r.Topic, r.PartitionKey)
	if err != nil {
		return err
	}
	publish(t.producer, partition, &r.Raw)
	t.counts.published.Add(1)
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
		t.counts.skipped.Add(1)
		t.log.Warn("record skipped", "error", err)
		return nil
	case topology.DeadLetter:
		if lost := t.deadLetter(r, err); lost != nil {
			return errors.Join(err, lost)
		}
		t.counts.deadLetters.Add(1)
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
