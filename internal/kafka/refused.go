package kafka

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/IBM/sarama"
)

// A ProduceError names the partition to which a batch could not be written.
type ProduceError struct {
	Topic     string
	Partition int32
	Err       error
}

func (e *ProduceError) Error() string {
	return fmt.Sprintf("producing to %s/%d: %v", e.Topic, e.Partition, e.Err)
}
func (e *ProduceError) Unwrap() error { return e.Err }

// A RefusedError names the one record that a broker does not take, and never will
// while the topic is as it is.
type RefusedError struct {
	Topic      string
	Partition  int32
	Key, Value []byte
	Err        error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s/%d refuses the record with key %q and %d bytes: %v",
		e.Topic, e.Partition, e.Key[:min(len(e.Key), 200)], len(e.Value), e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// A refusal is a batch that the broker has not taken, and why.
type refusal struct {
	batch
	err error
}

// blamesRecord tells whether a broker refuses a batch because of what is in it.
// Such a batch is not in the log, and its sequence is still the next one.
func blamesRecord(err error) bool {
	return errors.Is(err, sarama.ErrMessageSizeTooLarge) || errors.Is(err, sarama.ErrMessageSetSizeTooLarge) ||
		errors.Is(err, sarama.ErrInvalidTimestamp) || errors.Is(err, sarama.ErrInvalidRecord)
}

// answered notes what became of a batch. One that is refused for what is in it is
// sent again by Flush, and so are those that were sent behind it, which the broker
// refuses for their sequence.
func (p *Producer) answered(b batch, err error) {
	if err == nil {
		return
	}
	p.acks.Lock()
	defer p.acks.Unlock()
	behind := errors.Is(err, sarama.ErrOutOfOrderSequenceNumber) &&
		slices.ContainsFunc(p.refused, func(r refusal) bool { return r.place == b.place })
	switch {
	case blamesRecord(err) || behind:
		p.refused = append(p.refused, refusal{b, err})
	case p.err == nil:
		p.err = err
	}
}

// sendRefused sends what was refused again, in order and one batch at a time:
// halves of what is too large, down to one record, which is then to blame.
func (p *Producer) sendRefused() error {
	p.acks.Lock()
	refused := p.refused
	p.refused = nil
	p.acks.Unlock()
	slices.SortStableFunc(refused, func(a, b refusal) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	for _, r := range refused {
		err := r.err
		if !blamesRecord(err) {
			err = p.send(r.batch)
		}
		if err := p.split(r.batch, err); err != nil {
			return err
		}
	}
	return nil
}

// split answers the refusal of a batch: by its halves, or by blame.
func (p *Producer) split(b batch, err error) error {
	switch {
	case err == nil || !blamesRecord(err):
		return err
	case len(b.records) == 1:
		return &RefusedError{Topic: b.topic, Partition: b.partition, Key: b.records[0].Key, Value: b.records[0].Value, Err: err}
	}
	for _, half := range b.halves() {
		if err := p.split(half, p.send(half)); err != nil {
			return err
		}
	}
	return nil
}

// send writes one batch and waits for the answer.
func (p *Producer) send(b batch) error {
	leader, err := p.client.Leader(b.topic, b.partition)
	if err != nil {
		return &ProduceError{b.topic, b.partition, err}
	}
	req := p.produceRequest()
	req.AddBatch(b.topic, b.partition, p.recordBatch(b))
	resp, err := leader.Produce(req)
	if err != nil {
		_ = leader.Close() // the next Leader opens it again
	}
	return p.acknowledge(b, resp, err)
}
