package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// ErrTruncated means that a log no longer has the offset that is to be read.
var ErrTruncated = errors.New("the log does not begin there any more")

// readWait is how long an answer may take when there is nothing to read: the end
// lies behind a transaction that is still open.
const readWait = 100 * time.Millisecond

// ReadTo hands over the committed records from one offset up to, not including,
// another. It waits for transactions that are open in between, since they may yet
// be committed (KAFKA-10167). After each answer of the broker it tells reached
// where it goes on, and the offset before which everything is decided; if that
// has not moved since the last call, a transaction holds it up.
//
// Compaction may remove records meanwhile. A key's newest record stays, and a
// tombstone stays for the topic's delete.retention.ms, so a reader misses nothing
// unless it takes longer than that.
func (l Log) ReadTo(ctx context.Context, from, end int64, apply func(r *sarama.Record, offset int64, at time.Time) error, reached func(next, stable int64) error) error {
	for from < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		next, stable, err := l.Read(from, readWait, func(r *sarama.Record, offset int64, at time.Time) error {
			if offset >= end {
				return nil // committed meanwhile
			}
			return apply(r, offset, at)
		})
		if errors.Is(err, sarama.ErrOffsetOutOfRange) {
			return fmt.Errorf("%w: %w", ErrTruncated, err)
		}
		if err != nil {
			return err
		}
		if next = min(next, end); next == from && stable >= end {
			next = end // the rest was compacted away
		}
		if err := reached(next, stable); err != nil {
			return err
		}
		from = next
	}
	return nil
}
