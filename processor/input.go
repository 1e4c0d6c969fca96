package processor

import (
	"fmt"
	"sync/atomic"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// An input is one topic of a task: the partition that the group has given.
type input struct {
	topic    string
	claim    sarama.ConsumerGroupClaim
	progress atomic.Int64 // committed offset, -1 before the task begins
	barren   atomic.Int64 // before it there is no record behind progress

	next int64 // offset to commit, guarded by the session's gate
}

func newInput(claim sarama.ConsumerGroupClaim) *input {
	in := &input{topic: claim.Topic(), claim: claim, next: claim.InitialOffset()}
	in.progress.Store(-1)
	return in
}

// begin finds out where the input starts if nothing of it is committed.
func (in *input) begin(client sarama.Client) error {
	if in.next < 0 {
		start, err := client.GetOffset(in.topic, in.claim.Partition(), sarama.OffsetOldest)
		if err != nil {
			return fmt.Errorf("start of %s/%d: %w", in.topic, in.claim.Partition(), err)
		}
		in.next = start
	}
	in.progress.Store(in.next)
	return nil
}

// behind returns how many offsets there are still to process, as of the last
// fetch. Some may be markers of transactions.
func (in *input) behind() int64 { return in.claim.HighWaterMarkOffset() - in.next }

// lag returns how many offsets there are still to commit.
func (in *input) lag() int64 {
	at := in.progress.Load()
	if at < 0 {
		return 0
	}
	return max(0, in.claim.HighWaterMarkOffset()-max(at, in.barren.Load()))
}

func (in *input) position() topology.Position {
	return topology.Position{Topic: in.topic, Partition: in.claim.Partition(), Offset: in.progress.Load()}
}

// rawOf is a record as the topology takes it.
func rawOf(m *sarama.ConsumerMessage) topology.Raw {
	r := topology.Raw{
		Key: m.Key, Value: m.Value, Time: kafka.Time(m.Timestamp),
		Position: topology.Position{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset},
	}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, topology.Header{Key: string(h.Key), Value: h.Value})
	}
	return r
}
