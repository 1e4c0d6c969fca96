package kafka

import (
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// Where the broker's clock counts (message.timestamp.type=LogAppendTime), the time of
// a record is that of its batch, whatever its producer wrote.
func TestLogAppendTime(t *testing.T) {
	block := &sarama.FetchResponseBlock{}
	appended, sent := time.UnixMilli(1_000_000), time.UnixMilli(5)
	batch := &sarama.RecordBatch{
		Version: 2, LogAppendTime: true, FirstTimestamp: sent, MaxTimestamp: appended, LastOffsetDelta: 1,
		Records: []*sarama.Record{{}, {OffsetDelta: 1, TimestampDelta: time.Millisecond}},
	}
	block.RecordsSet = []*sarama.Records{{RecordBatch: batch}}
	next, err := committed(block, 0, func(_ *sarama.Record, offset int64, at time.Time) error {
		if !at.Equal(appended) {
			t.Errorf("record %d is of %v, want %v", offset, at, appended)
		}
		return nil
	})
	if err != nil || next != 2 {
		t.Errorf("next is %d, %v, want 2", next, err)
	}
}
