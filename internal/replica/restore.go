package replica

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"
)

// BatchBytes is how many bytes of rows are put between two commits while a topic is
// read.
const BatchBytes = 4 << 20

// A SlowError says that reading a topic took longer than the topic keeps
// tombstones: rows that were deleted meanwhile may still be there.
type SlowError struct {
	What            string // "store words/3"
	Topic           string
	Took, Retention time.Duration
}

func (e *SlowError) Error() string {
	return fmt.Sprintf("reading %s took %v, and its topic keeps tombstones for %v: raise delete.retention.ms of %s", e.What, e.Took, e.Retention, e.Topic)
}

// Restore applies the committed records of the replica's partition up to an offset,
// and tells seen of each key. It returns how many records it has read.
func (r *Replica) Restore(ctx context.Context, end int64, seen func(key []byte)) (records int, err error) {
	c, s, from := r.config, r.store, r.Next()[0]
	what, place := fmt.Sprintf("table %s to be restored", c.Table), strconv.Itoa(int(c.Partition))
	defer c.Waits.Clear(what, place)
	r.left.Store(end - from)
	began, asked, next := time.Now(), time.Now(), from
	var waited time.Duration
	err = c.Log(c.Partition).ReadTo(ctx, from, end, func(row *sarama.Record, offset int64, at time.Time) error {
		records++
		seen(row.Key)
		s.Put(row.Key, row.Value, at.UnixMilli())
		if s.Held() < BatchBytes {
			return nil
		}
		return s.Commit(offset + 1)
	}, func(reached, stable int64) error {
		if reached == next {
			waited += time.Since(asked)
			c.Waits.Expect(what, place, fmt.Sprintf("somebody's transaction is open in %s/%d at offset %d: it ends with its producer's next step, or its transaction.timeout.ms", c.Topic, c.Partition, stable))
		} else {
			c.Waits.Expect(what, place, fmt.Sprintf("partition %d has %d changelog offsets to go", c.Partition, end-reached))
		}
		next, asked = reached, time.Now()
		r.left.Store(end - next)
		return nil
	})
	if err != nil {
		return records, fmt.Errorf("restoring %s: %w", r, err)
	}
	if err := r.Commit(end); err != nil {
		return records, err
	}
	r.filled = r.filled || records > 0
	took := time.Since(began)
	if records == 0 && waited == 0 {
		return 0, nil
	}
	c.Logger.Info("table restored", "table", c.Table, "partition", c.Partition, "records", records,
		"from", from, "to", end, "took", took.Round(time.Millisecond), "waited", waited.Round(time.Millisecond))
	return records, r.CheckTime(took)
}

// CheckTime returns a SlowError if reading the topic took too long.
func (r *Replica) CheckTime(took time.Duration) error {
	if took <= r.config.Retention {
		return nil
	}
	return &SlowError{What: r.String(), Topic: r.config.Topic, Took: took, Retention: r.config.Retention}
}
