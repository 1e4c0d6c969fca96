package referee

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/topology"
)

// Read calls each for every committed record of a topic, partition by partition,
// up to its end as it is now. It waits for transactions that are still open: a
// reader that stopped at the last stable offset would miss what they commit.
func (c *Cluster) Read(ctx context.Context, topic string, each func(topology.Raw) error) error {
	if err := c.client.RefreshMetadata(topic); err != nil {
		return fmt.Errorf("topic %s: %w", topic, err)
	}
	ends, err := c.Ends(topic)
	if err != nil {
		return err
	}
	for p, end := range ends {
		if err := c.readPartition(ctx, topic, int32(p), end, each); err != nil {
			return fmt.Errorf("read %s/%d: %w", topic, p, err)
		}
	}
	return nil
}

func (c *Cluster) readPartition(ctx context.Context, topic string, partition int32, end int64, each func(topology.Raw) error) error {
	next, err := c.client.GetOffset(topic, partition, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	for next < end {
		if ctx.Err() != nil {
			return fmt.Errorf("at %d of %d: %w: is a transaction still open?", next, end, context.Cause(ctx))
		}
		block, err := c.fetch(topic, partition, next)
		if err != nil {
			return err
		}
		reached, err := committed(block, next, func(r *sarama.Record, offset int64, at time.Time) error {
			raw := topology.Raw{
				Key: r.Key, Value: r.Value, Time: at,
				Position: topology.Position{Topic: topic, Partition: partition, Offset: offset},
			}
			for _, h := range r.Headers {
				raw.Headers = append(raw.Headers, topology.Header{Key: string(h.Key), Value: h.Value})
			}
			return each(raw)
		})
		if err != nil {
			return err
		}
		if reached == next && block.LastStableOffset >= end {
			return nil // what is missing was compacted away
		}
		next = reached
	}
	return nil
}

// Follow calls arrived with the offset after the last record whenever a plain reader
// can see committed records of a partition that it has not seen, until ctx is done.
// Errors of brokers it sits out.
func (c *Cluster) Follow(ctx context.Context, topic string, partition int32, arrived func(next int64)) {
	for next := int64(0); ctx.Err() == nil; {
		block, err := c.fetch(topic, partition, next)
		reached, last := next, next
		if err == nil {
			reached, err = committed(block, next, func(_ *sarama.Record, offset int64, _ time.Time) error {
				last = offset + 1
				return nil
			})
		}
		switch {
		case err != nil:
			time.Sleep(50 * time.Millisecond)
			_ = c.client.RefreshMetadata(topic) // the leader may have moved
		case last > next:
			arrived(last)
		}
		if err == nil {
			next = max(next, reached)
		}
	}
}

// fetch speaks the request itself: a consumer hides control records, and without
// them the end cannot be told from a pause. It and what follows stand in
// internal/kafka too, on purpose: who judges the engine does not read with its eyes.
func (c *Cluster) fetch(topic string, partition int32, offset int64) (*sarama.FetchResponseBlock, error) {
	broker, err := c.client.Leader(topic, partition)
	if err != nil {
		return nil, err
	}
	req := &sarama.FetchRequest{
		Version: 11, MaxWaitTime: 100, MinBytes: 1, MaxBytes: 16 << 20,
		Isolation: sarama.ReadCommitted, SessionEpoch: -1,
	}
	req.AddBlock(topic, partition, offset, 4<<20, -1)
	resp, err := broker.Fetch(req)
	if err != nil {
		return nil, errors.Join(err, broker.Close())
	}
	block := resp.GetBlock(topic, partition)
	switch {
	case block == nil:
		return nil, sarama.ErrIncompleteResponse
	case !errors.Is(block.Err, sarama.ErrNoError):
		return nil, block.Err
	}
	return block, nil
}

// committed hands over the committed records at or after from, and returns the
// offset to go on at.
func committed(block *sarama.FetchResponseBlock, from int64, each func(*sarama.Record, int64, time.Time) error) (int64, error) {
	pending := slices.SortedFunc(slices.Values(block.AbortedTransactions), func(a, b *sarama.AbortedTransaction) int {
		return int(a.FirstOffset - b.FirstOffset)
	})
	aborted := map[int64]bool{} // by producer id, as of the current batch
	next := from
	for _, set := range block.RecordsSet {
		batch := set.RecordBatch
		if batch == nil || batch.PartialTrailingRecord {
			continue
		}
		for len(pending) > 0 && pending[0].FirstOffset <= batch.LastOffset() {
			aborted[pending[0].ProducerID] = true
			pending = pending[1:]
		}
		switch {
		case batch.Control:
			if isAbort(batch) {
				delete(aborted, batch.ProducerID)
			}
		case batch.IsTransactional && aborted[batch.ProducerID]:
		default:
			for _, r := range batch.Records {
				offset := batch.FirstOffset + r.OffsetDelta
				if offset < from {
					continue
				}
				at := batch.FirstTimestamp.Add(r.TimestampDelta)
				if batch.LogAppendTime {
					at = batch.MaxTimestamp
				}
				if err := each(r, offset, at); err != nil {
					return 0, err
				}
			}
		}
		next = max(next, batch.LastOffset()+1)
	}
	return max(next, passed(block)), nil
}

// passed returns the offset behind batches that have no records any more, which
// sarama leaves out, and keeps to itself where they end; 0 if there are none, or
// others.
func passed(block *sarama.FetchResponseBlock) int64 {
	offset := reflect.ValueOf(block).Elem().FieldByName("recordsNextOffset")
	if len(block.RecordsSet) > 0 || !offset.IsValid() || offset.IsNil() {
		return 0
	}
	return offset.Elem().Int()
}

func isAbort(control *sarama.RecordBatch) bool {
	return len(control.Records) > 0 && len(control.Records[0].Key) >= 4 &&
		binary.BigEndian.Uint16(control.Records[0].Key[2:]) == 0
}
