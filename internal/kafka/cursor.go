package kafka

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// A Cursor reads the committed records of a log on and on, together with others.
type Cursor struct {
	Log
	Next     int64 // the offset to go on at
	Stable   int64 // as of the last Take: what lies before it is decided
	MaxBytes int32 // that a Fetch brings, unless one batch is larger; defaults to 1 MiB
	Epoch    int32 // of the leader, which refuses if its own is older or newer; -1 if it is not known

	block *sarama.FetchResponseBlock
	alone bool // an empty block says that there is nothing, and not that there was no room
}

// Fetch asks the broker that leads some logs once for what comes next in all of
// them. It waits up to the given time if there is nothing in any of them. What
// has come is to be taken from each cursor.
func Fetch(leader *sarama.Broker, cursors []*Cursor, wait time.Duration) error {
	req := fetchRequest(wait)
	for _, c := range cursors {
		c.block = nil
		req.AddBlock(c.Topic, c.Partition, c.Next, cmp.Or(c.MaxBytes, fetchBytes), c.Epoch)
	}
	resp, err := leader.Fetch(req)
	if err != nil {
		_ = leader.Close() // the next Leader opens it again
		return fmt.Errorf("reading from broker %s: %w", leader.Addr(), err)
	}
	found := false
	for _, c := range cursors {
		if c.block = resp.GetBlock(c.Topic, c.Partition); c.block == nil {
			return fmt.Errorf("reading %s@%d from broker %s: %w", c, c.Next, leader.Addr(), sarama.ErrIncompleteResponse)
		}
		found = found || len(c.block.RecordsSet) > 0 || passed(c.block) > 0
	}
	for _, c := range cursors {
		c.alone = !found || len(cursors) == 1
		if c.block.Err != sarama.ErrNoError {
			continue
		}
		if !c.alone && len(c.block.RecordsSet) == 0 && passed(c.block) <= c.Next && c.Next < c.block.LastStableOffset {
			if err := Fetch(leader, []*Cursor{c}, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// Take hands over the committed records that the last Fetch has brought, and
// returns the offset to go on at, which it leaves to the caller to set.
func (c *Cursor) Take(apply func(r *sarama.Record, offset int64, at time.Time) error) (next int64, err error) {
	batches, next, err := c.TakeBatches()
	if err != nil {
		return c.Next, err
	}
	for _, b := range batches {
		for i := range b.Len() {
			if err := apply(b.At(i)); err != nil {
				return c.Next, err
			}
		}
	}
	return next, nil
}

// TakeBatches returns the committed records that the last Fetch has brought, and the
// offset to go on at, which it leaves to the caller to set.
func (c *Cursor) TakeBatches() (batches []Batch, next int64, err error) {
	block := c.block
	c.block = nil
	if block == nil {
		return nil, c.Next, nil
	}
	if err := answer(block.Err); err != nil {
		return nil, c.Next, fmt.Errorf("reading %s@%d: %w", c, c.Next, err)
	}
	c.Stable = block.LastStableOffset
	batches, next = committedBatches(block, c.Next)
	if c.alone && len(block.RecordsSet) == 0 && next == c.Next {
		next = max(next, c.Stable) // the rest was compacted away
	}
	return batches, next, nil
}

// fetchRequest is a Fetch request without a log.
func fetchRequest(wait time.Duration) *sarama.FetchRequest {
	return &sarama.FetchRequest{
		Version: 11, MaxWaitTime: int32(wait.Milliseconds()), MinBytes: 1, MaxBytes: 4 * fetchBytes,
		Isolation: sarama.ReadCommitted, SessionEpoch: -1,
	}
}

// answer is a block's error. Where the leader has moved, it looks for the new one.
func (l Log) answer(block *sarama.FetchResponseBlock) error {
	if errors.Is(block.Err, sarama.ErrNotLeaderForPartition) || errors.Is(block.Err, sarama.ErrUnknownTopicOrPartition) {
		return errors.Join(block.Err, l.Client.RefreshMetadata(l.Topic))
	}
	return answer(block.Err)
}
