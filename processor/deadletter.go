package processor

import (
	"errors"
	"fmt"
	"time"

	"github.com/tidemark-dev/tidemark/topology"
)

// deadLetter publishes a record as it was, in the open transaction, with the
// reason and its place in headers. If it does not fit, the reason is cut.
func (t *task) deadLetter(r topology.Raw, reason error) error {
	topic := t.deadLetters()
	letter, err := deadLetter(r, reason, topic, t.limits.of(topic), time.Now())
	if err != nil {
		return err
	}
	return t.publish(&topology.Output{Raw: letter, PartitionKey: r.Key})
}

// deadLetter returns a record as it goes to the topic for dead letters, whose
// limits are given.
func deadLetter(r topology.Raw, reason error, topic string, limits topology.Limits, now time.Time) (topology.Raw, error) {
	headers := append(r.Headers[:len(r.Headers):len(r.Headers)],
		topology.Header{Key: "tidemark-topic", Value: []byte(r.Topic)},
		topology.Header{Key: "tidemark-partition", Value: fmt.Append(nil, r.Partition)},
		topology.Header{Key: "tidemark-offset", Value: fmt.Append(nil, r.Offset)})
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
	err := limits.Check(&letter, now)
	if err != nil && (limits.Before > 0 || limits.After > 0) {
		letter.Time = now // the topic may refuse the record's time: it is not what dead letters are kept for
		err = limits.Check(&letter, now)
	}
	if err != nil {
		return topology.Raw{}, &startError{fmt.Errorf("record %s cannot be moved to topic %q: %w: change the topic's settings", r.Position, topic, err)}
	}
	return letter, nil
}
