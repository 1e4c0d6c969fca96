package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// deadLetter publishes a record as it was, in the open transaction, with the
// reason, its place and its time in headers. If it does not fit, the reason is cut.
func (t *task) deadLetter(r topology.Raw, reason error) error {
	topic := t.processor.deadLetters()
	letter, err := deadLetter(r, reason, topic, t.processor.limits.of(topic), time.Now())
	if err != nil && t.outdated(topic) {
		return &topology.OutdatedError{Topic: topic}
	}
	if err != nil {
		return err
	}
	return t.publish(&topology.Output{Raw: letter, PartitionKey: r.Key})
}

// copyToDeadLetters copies a row that a sink never takes, in no transaction.
func (m *member) copyToDeadLetters(ctx context.Context, r topology.Raw, reason error) error {
	topic := m.processor.deadLetters()
	letter, err := deadLetter(r, reason, topic, m.processor.limits.of(topic), time.Now())
	if err != nil {
		if err := m.processor.askLimits(ctx, []string{topic}); err != nil { // the instance would end
			return err
		}
		letter, err = deadLetter(r, reason, topic, m.processor.limits.of(topic), time.Now())
	}
	if err != nil {
		return err
	}
	partition, err := m.partitionOf(topic, r.Key)
	if err != nil {
		return err
	}
	p, err := kafka.NewProducer(ctx, m.processor.kafka(), "", m.group.Name, transactionTimeout)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, p.Close)()
	defer p.Close()
	publish(p, partition, &letter)
	p.Push()
	return p.Flush()
}

// deadLetter returns a record as it goes to the topic for dead letters, whose
// limits are given.
func deadLetter(r topology.Raw, reason error, topic string, limits topology.Limits, now time.Time) (topology.Raw, error) {
	headers := append(r.Headers[:len(r.Headers):len(r.Headers)],
		topology.Header{Key: "tidemark-topic", Value: []byte(r.Topic)},
		topology.Header{Key: "tidemark-partition", Value: fmt.Append(nil, r.Partition)},
		topology.Header{Key: "tidemark-offset", Value: fmt.Append(nil, r.Offset)},
		topology.Header{Key: "tidemark-time", Value: fmt.Append(nil, r.Time.UnixMilli())})
	if e, ok := errors.AsType[*topology.RecordError](reason); ok {
		headers = append(headers, topology.Header{Key: "tidemark-node", Value: []byte(e.Node)})
		reason = e.Err
	}
	text := reason.Error()
	if limits.Bytes > 0 {
		bare := topology.BatchBytes(r.Key, r.Value, append(headers, topology.Header{Key: "tidemark-error"}))
		text = text[:max(0, min(len(text), limits.Bytes-bare-4))] // 4 for the larger lengths of header, record and batch
	}
	letter := r
	letter.Topic, letter.Headers = topic, append(headers, topology.Header{Key: "tidemark-error", Value: []byte(text)})
	letter.Time = now // by the record's own, retention could delete it at once, or the topic refuse it
	if err := limits.Check(&letter, now); err != nil {
		return topology.Raw{}, &startError{fmt.Errorf("record %s cannot be moved to topic %q: %w: change the topic's settings", r.Position, topic, err)}
	}
	return letter, nil
}
