package kafka

import (
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
)

// A script is a log as it came about: each byte is one batch of one of four
// producers, or the end of its transaction. Producer 0 has none.
type script struct {
	batches []*sarama.RecordBatch
	decided []int64 // offsets of records that a reader of committed ones sees
	aborted []abortedSpan
	stable  int64 // before the first open transaction
	end     int64
}

// An abortedSpan is a transaction from its first record to its marker.
type abortedSpan struct{ producer, first, last int64 }

func play(data []byte) (s script) {
	type transaction struct {
		first   int64
		records []int64
	}
	open := map[int64]*transaction{}
	for _, b := range data {
		producer, t := int64(b&3), open[int64(b&3)]
		batch := &sarama.RecordBatch{Version: 2, FirstOffset: s.end, ProducerID: producer, IsTransactional: producer > 0}
		if end := b >> 2 & 3; t != nil && end > 1 { // 2 aborts, 3 commits
			batch.Control = true
			batch.Records = []*sarama.Record{{Key: []byte{0, 0, 0, end - 2}}}
			if end == 3 {
				s.decided = append(s.decided, t.records...)
			} else {
				s.aborted = append(s.aborted, abortedSpan{producer, t.first, s.end})
			}
			delete(open, producer)
		} else {
			holes := b >> 4 & 3 // compaction leaves a batch its offsets
			for delta := range int64(b>>6) + 1 {
				if delta < int64(holes) && delta < int64(b>>6) {
					continue
				}
				batch.Records = append(batch.Records, &sarama.Record{OffsetDelta: delta})
			}
			batch.LastOffsetDelta = int32(b >> 6)
			if producer > 0 && t == nil {
				t = &transaction{first: s.end}
				open[producer] = t
			}
			for _, r := range batch.Records {
				if offset := s.end + r.OffsetDelta; producer == 0 {
					s.decided = append(s.decided, offset)
				} else {
					t.records = append(t.records, offset)
				}
			}
		}
		s.batches = append(s.batches, batch)
		s.end = batch.LastOffset() + 1
	}
	s.stable = s.end
	for _, t := range open {
		s.stable = min(s.stable, t.first)
	}
	slices.Sort(s.decided)
	return s
}

// fetch answers as a broker does: with whole batches, from the one that holds the
// offset, and the aborted transactions that overlap them, in any order.
func (s script) fetch(from int64, batches int) *sarama.FetchResponseBlock {
	block := &sarama.FetchResponseBlock{LastStableOffset: s.stable, HighWaterMarkOffset: s.end}
	end := int64(0)
	for _, b := range s.batches {
		if b.LastOffset() < from || b.FirstOffset >= s.stable || len(block.RecordsSet) == batches {
			continue
		}
		block.RecordsSet = append(block.RecordsSet, &sarama.Records{RecordBatch: b})
		end = b.LastOffset() + 1
	}
	for _, a := range s.aborted {
		if a.last >= from && a.first < end {
			block.AbortedTransactions = append(block.AbortedTransactions, &sarama.AbortedTransaction{ProducerID: a.producer, FirstOffset: a.first})
		}
	}
	return block
}

// Whatever the log and wherever the fetches are cut, a reader gets the records
// that are decided, once and in order, and reaches the last stable offset.
func FuzzCommitted(f *testing.F) {
	f.Add([]byte{0x41, 0x42, 0x09, 0x81, 0x0e, 0xc0, 0x0d}, int64(0), 2)
	f.Add([]byte{0x01, 0x40, 0x41, 0x09, 0x01, 0x0d}, int64(2), 1)
	f.Add([]byte{0x71, 0x82, 0xb3, 0x0a, 0x0d, 0xf1, 0x0b, 0x09}, int64(3), 3)
	f.Fuzz(func(t *testing.T, data []byte, from int64, batches int) {
		s := play(data)
		if from < 0 || from > s.end || batches < 1 {
			t.Skip()
		}
		var got, want []int64
		for _, offset := range s.decided {
			if offset >= from && offset < s.stable {
				want = append(want, offset)
			}
		}
		for at := from; at < s.stable; {
			next, err := committed(s.fetch(at, batches), at, func(_ *sarama.Record, offset int64, _ time.Time) error {
				got = append(got, offset)
				return nil
			})
			if err != nil || next <= at {
				t.Fatalf("from %d to %d: %v", at, next, err)
			}
			at = next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("offsets (-want +got):\n%s", diff)
		}
	})
}
