package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// emptyBatch is what compaction leaves of a producer's last batch when its records
// are gone.
func emptyBatch(first int64, last int32) []byte {
	b := kmsg.RecordBatch{
		FirstOffset: first, Length: 49, PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: last,
		FirstTimestamp: 1, MaxTimestamp: 1, ProducerID: 7, FirstSequence: 0,
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// A log begins with a segment in which compaction has left nothing but empty batches.
// It does not end there.
func TestEmptyBatches(t *testing.T) {
	k := newKafka(t)
	k.write(nil, "a1", "b1", "c1", "d1", "e1")
	k.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		req := r.(*kmsg.FetchRequest)
		at := req.Topics[0].Partitions[0]
		if at.FetchOffset >= 3 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		topics, part := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
		topics.Topic, part.Partition = req.Topics[0].Topic, at.Partition
		part.HighWatermark, part.LastStableOffset, part.RecordBatches = 5, 5, emptyBatch(0, 2)
		topics.Partitions = append(topics.Partitions, part)
		resp.Topics = append(resp.Topics, topics)
		return resp, nil, true
	})
	log := Log{Client: k.client, Topic: topic}
	var offsets []int64
	see := func(_ *sarama.Record, offset int64, _ time.Time) error {
		offsets = append(offsets, offset)
		return nil
	}
	for next := int64(0); next < 5; {
		reached, stable, err := log.Read(next, 0, see)
		if err != nil {
			t.Fatal(err)
		}
		if reached == next && stable >= 5 {
			t.Fatalf("the log seems to end at %d", next)
		}
		next = reached
	}
	if diff := cmp.Diff([]int64{3, 4}, offsets); diff != "" {
		t.Errorf("offsets read (-want +got):\n%s", diff)
	}
	leader, err := k.client.Leader(topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	offsets = nil
	c := &Cursor{Log: log}
	for c.Next < 5 {
		if err := Fetch(leader, []*Cursor{c}, 0); err != nil {
			t.Fatal(err)
		}
		next, err := c.Take(see)
		if err != nil {
			t.Fatal(err)
		}
		c.Next = next
	}
	if diff := cmp.Diff([]int64{3, 4}, offsets); diff != "" {
		t.Errorf("offsets taken (-want +got):\n%s", diff)
	}
}
