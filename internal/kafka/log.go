package kafka

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// A Log reads the committed records of one partition with plain Fetch requests:
// only they show the control records that a consumer hides, and without them a
// reader cannot tell the end of the log from a pause.
type Log struct {
	Client    sarama.Client
	Topic     string
	Partition int32
}

func (l Log) String() string { return fmt.Sprintf("%s/%d", l.Topic, l.Partition) }

// Bounds returns the first offset of the log and the offset after its last
// record, whether that is committed or not.
func (l Log) Bounds() (start, end int64, err error) {
	if start, err = l.Client.GetOffset(l.Topic, l.Partition, sarama.OffsetOldest); err == nil {
		end, err = l.Client.GetOffset(l.Topic, l.Partition, sarama.OffsetNewest)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("offsets of %s: %w", l, err)
	}
	return start, end, nil
}

const fetchBytes = 1 << 20

// Read fetches once from an offset and hands over the committed records. It
// waits up to the given time if there are none. It returns the offset at which
// to go on, and the one before which everything is decided (the last stable
// offset): if next is from and stable is beyond it, what lay between was
// compacted away.
func (l Log) Read(from int64, wait time.Duration, apply func(r *sarama.Record, offset int64, at time.Time) error) (next, stable int64, err error) {
	block, err := l.fetch(from, wait)
	if err != nil {
		return from, 0, fmt.Errorf("reading %s@%d: %w", l, from, err)
	}
	next, err = committed(block, from, apply)
	return next, block.LastStableOffset, err
}

func (l Log) fetch(from int64, wait time.Duration) (*sarama.FetchResponseBlock, error) {
	leader, err := l.Client.Leader(l.Topic, l.Partition)
	if err != nil {
		return nil, err
	}
	req := fetchRequest(wait)
	req.AddBlock(l.Topic, l.Partition, from, fetchBytes, -1)
	resp, err := leader.Fetch(req)
	if err != nil {
		_ = leader.Close() // the next Leader opens it again
		return nil, err
	}
	block := resp.GetBlock(l.Topic, l.Partition)
	if block == nil {
		return nil, sarama.ErrIncompleteResponse
	}
	return block, l.answer(block)
}

// committed hands over the records at or after from that no transaction has
// aborted.
func committed(block *sarama.FetchResponseBlock, from int64, apply func(*sarama.Record, int64, time.Time) error) (int64, error) {
	batches, next := committedBatches(block, from)
	for _, b := range batches {
		for i := range b.Len() {
			if err := apply(b.At(i)); err != nil {
				return from, err
			}
		}
	}
	return next, nil
}

// A Batch is committed records of one partition, in the order of their offsets.
type Batch struct {
	records []*sarama.Record
	of      *sarama.RecordBatch
}

// NewBatch returns the records of a record batch.
func NewBatch(of *sarama.RecordBatch) Batch { return Batch{of.Records, of} }

// Len returns how many records there are.
func (b Batch) Len() int { return len(b.records) }

// At returns a record, its offset and its time. The record is not to be changed.
func (b Batch) At(i int) (r *sarama.Record, offset int64, at time.Time) {
	r = b.records[i]
	if at = b.of.MaxTimestamp; !b.of.LogAppendTime { // else it is the time of all of them
		at = b.of.FirstTimestamp.Add(r.TimestampDelta)
	}
	return r, b.of.FirstOffset + r.OffsetDelta, Time(at)
}

// committedBatches returns the records at or after from that no transaction has
// aborted, and the offset to go on at.
func committedBatches(block *sarama.FetchResponseBlock, from int64) (batches []Batch, next int64) {
	pending := slices.SortedFunc(slices.Values(block.AbortedTransactions), func(a, b *sarama.AbortedTransaction) int {
		return cmp.Compare(a.FirstOffset, b.FirstOffset)
	})
	aborted := map[int64]bool{} // by producer id, as of the current batch
	next = from
	for _, set := range block.RecordsSet {
		batch := set.RecordBatch
		if batch != nil && batch.PartialTrailingRecord {
			next = max(next, batch.FirstOffset) // the next answer begins with it
		}
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
			first := slices.IndexFunc(batch.Records, func(r *sarama.Record) bool { return batch.FirstOffset+r.OffsetDelta >= from })
			if first >= 0 {
				batches = append(batches, Batch{batch.Records[first:], batch})
			}
		}
		next = max(next, batch.LastOffset()+1)
	}
	return batches, max(next, passed(block))
}

// passed returns the offset behind the batches of a block of which none has
// records, 0 if there are no batches. Compaction keeps an empty batch for the last
// sequence of a producer, and a whole segment may consist of such: a reader that took
// that for the end of the log would miss all that follows. sarama leaves them out, and
// keeps the offset for its own consumer only.
func passed(block *sarama.FetchResponseBlock) int64 {
	if len(block.RecordsSet) > 0 {
		return 0
	}
	offset := reflect.ValueOf(block).Elem().FieldByName("recordsNextOffset")
	if !offset.IsValid() || offset.IsNil() {
		return 0
	}
	return offset.Elem().Int()
}

// isAbort tells the two kinds of control records apart: their key is a version
// and a type, and type 0 is an abort.
func isAbort(control *sarama.RecordBatch) bool {
	return len(control.Records) > 0 && len(control.Records[0].Key) >= 4 &&
		binary.BigEndian.Uint16(control.Records[0].Key[2:]) == 0
}
