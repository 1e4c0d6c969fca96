package kafka

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// numbered publishes records from a number on, each as a batch of its own.
func numbered(p *Producer, partition int32, from, n int) {
	for i := range n {
		p.Publish(topic, partition, []byte("k"), fmt.Append(nil, from+i), nil, 1000)
		p.Push()
	}
}

// inOrder sees that a partition holds the numbers from 0 on, once and in order.
func (k *kafka) inOrder(partition int32, n int) {
	k.t.Helper()
	next := 0
	for from := int64(0); next < n; {
		at, stable, err := Log{k.client, topic, partition}.Read(from, time.Second, func(r *sarama.Record, offset int64, _ time.Time) error {
			if string(r.Value) != fmt.Sprint(next) {
				return fmt.Errorf("partition %d: got %s at %d, want %d", partition, r.Value, offset, next)
			}
			next++
			return nil
		})
		if errors.Is(err, sarama.ErrNotLeaderForPartition) {
			continue // it has moved, and is looked for
		}
		if err != nil {
			k.t.Fatal(err)
		}
		if at == from && at >= stable {
			k.t.Fatalf("partition %d has %d records, want %d", partition, next, n)
		}
		from = at
	}
}

func (k *kafka) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *kafka) offsets(offset int64) (Offsets, *sarama.ConsumerGroupMetadata) {
	return Offsets{topic: {{Partition: 0, Offset: offset, LeaderEpoch: -1}}}, &sarama.ConsumerGroupMetadata{GroupID: "group", GenerationID: -1}
}

// What a leader that is not it any more, or does not know, refuses is sent again:
// whichever of several batches it is, first or not, with others behind it.
func TestNotTaken(t *testing.T) {
	for _, refusal := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.UnknownTopicOrPartition, kerr.RequestTimedOut,
		kerr.KafkaStorageError, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.NetworkException, kerr.ReplicaNotAvailable,
	} {
		for _, first := range []int{0, 1, 3} {
			t.Run(fmt.Sprint(refusal.Message, first), func(t *testing.T) {
				t.Parallel()
				k := newKafka(t)
				p := k.producer("id")
				seen, refused := 0, 0
				k.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
					k.KeepControl()
					if seen++; seen <= first || refused == 2 {
						return nil, nil, false
					}
					refused++
					resp := req.ResponseKind().(*kmsg.ProduceResponse)
					resp.Topics = []kmsg.ProduceResponseTopic{{Topic: topic, Partitions: []kmsg.ProduceResponseTopicPartition{{ErrorCode: refusal.Code}}}}
					return resp, nil, true
				})
				numbered(p, 0, 0, 6)
				k.must(p.Flush())
				numbered(p, 0, 6, 6)
				k.must(p.Flush())
				k.commit(p)
				k.inOrder(0, 12)
				if end, _ := p.End(topic, 0); end != 12 {
					t.Errorf("end %d, want 12", end)
				}
			})
		}
	}
}

// An answer that is lost after the append is asked for again: nothing is doubled, and
// the offset is known.
func TestAnswerLost(t *testing.T) {
	for _, id := range []string{"id", ""} {
		for _, first := range []int{0, 1, 3} {
			k := newKafka(t)
			p := k.producer(id)
			numbered(p, 0, 0, first)
			k.must(p.Flush())
			k.network.Lose(kmsg.Produce, 1)
			numbered(p, 0, first, 6)
			k.must(p.Flush())
			k.commit(p)
			k.inOrder(0, first+6)
			if end, _ := p.End(topic, 0); end != int64(first+6) {
				t.Errorf("id %q, first %d: end %d, want %d", id, first, end, first+6)
			}
			if n := k.network.Losses(); n != 1 {
				t.Errorf("%d answers were lost", n)
			}
		}
	}
}

// While leaders move all the time no transaction fails, and each partition has its
// records in order and once.
func TestLeadersMoveAllTheTime(t *testing.T) {
	k := newBrokers(t, 3)
	p := k.producer("id")
	var stop atomic.Bool
	moved := make(chan int)
	go func() {
		n := 0
		for ; !stop.Load(); n++ {
			_ = k.MoveTopicPartition(topic, 0, int32(n%3))
			time.Sleep(2 * time.Millisecond)
		}
		moved <- n
	}()
	const rounds, each = 50, 20
	for i := range rounds {
		numbered(p, 0, i*each, each)
		if err := p.AddOffsets(k.offsets(int64(i))); err != nil {
			t.Fatal(err)
		}
		k.commit(p)
	}
	stop.Store(true)
	t.Logf("%d moves", <-moved)
	k.inOrder(0, rounds*each)
	if got := k.GroupInfo("group").Commits[topic][0].Offset; got != rounds-1 {
		t.Errorf("offset %d, want %d", got, rounds-1)
	}
}

// Each request to a coordinator is repeated: where the coordinator has moved, is
// busy, or its answer is lost. The transaction is committed once.
func TestCoordinatorNotThere(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		for _, refusal := range []*kerr.Error{nil, kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.ConcurrentTransactions} {
			t.Run(fmt.Sprint(key, refusal), func(t *testing.T) {
				t.Parallel()
				k := newKafka(t)
				p := k.producer("id")
				for i := range 3 {
					var h *kfake.FaultHandle
					if refusal == nil {
						k.network.Lose(key, 2)
					} else {
						h = k.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: refusal, Count: 2})
					}
					numbered(p, 0, i, 1)
					k.must(p.AddOffsets(k.offsets(int64(i))))
					k.must(p.Commit())
					if refusal == nil && k.network.Losses() != 2*(i+1) || refusal != nil && h.Hits() != 2 {
						t.Errorf("%d answers lost, want %d", k.network.Losses(), 2*(i+1))
					}
				}
				k.inOrder(0, 3)
				if got := k.GroupInfo("group").Commits[topic][0].Offset; got != 2 {
					t.Errorf("offset %d, want 2", got)
				}
			})
		}
	}
}

// A leader that stands still holds up its partition until it is another's, and the
// batch that it finds later is nobody's.
func TestLeaderStandsStill(t *testing.T) {
	k := newBrokers(t, 3)
	at := int32(0)
	for at == k.CoordinatorFor("id") || at == k.CoordinatorFor("group") {
		at++
	}
	k.must(k.MoveTopicPartition(topic, 0, at))
	p := k.producer("id")
	numbered(p, 0, 0, 1)
	k.must(p.Flush())
	frozen := k.ListenAddrs()[at]
	k.network.Freeze(frozen)
	numbered(p, 0, 1, 5)
	time.AfterFunc(500*time.Millisecond, func() { _ = k.MoveTopicPartition(topic, 0, (at+1)%3) })
	began := time.Now()
	k.must(p.Flush())
	if took := time.Since(began); took > 2*requestTimeout+time.Second {
		t.Errorf("it took %v", took)
	}
	k.must(p.Commit())
	k.network.Thaw(frozen)
	numbered(p, 0, 6, 1)
	k.must(p.Flush())
	k.must(p.Commit())
	k.inOrder(0, 7)
}

// Who waits for a broker that stands still waits no longer once the producer is
// closed.
func TestCloseWaitsForNobody(t *testing.T) {
	for name, wait := range map[string]func(*Producer) error{
		"produce": func(p *Producer) error { numbered(p, 0, 1, 10); return p.Flush() },
		"commit":  func(p *Producer) error { return p.Commit() },
	} {
		t.Run(name, func(t *testing.T) {
			k := newKafka(t)
			p := k.producer("id")
			numbered(p, 0, 0, 1)
			k.must(p.Flush())
			k.network.Freeze(k.ListenAddrs()[0])
			done := make(chan error)
			go func() { done <- wait(p) }()
			time.AfterFunc(50*time.Millisecond, p.Close)
			began := time.Now()
			if err := <-done; err == nil {
				t.Error("no error")
			}
			if took := time.Since(began); took > courtesy+250*time.Millisecond {
				t.Errorf("it took %v", took)
			}
			k.network.Thaw(k.ListenAddrs()[0])
		})
	}
}

// What is open when a producer is closed is aborted, soon.
func TestCloseAborts(t *testing.T) {
	k := newKafka(t)
	p := k.producer("id")
	k.publish(p, "a1")
	p.Close()
	for began := time.Now(); time.Since(began) < 5*time.Second; time.Sleep(10 * time.Millisecond) {
		if _, stable, err := k.log().Read(0, 0, func(*sarama.Record, int64, time.Time) error { return nil }); err == nil && stable == 2 {
			k.wants()
			return
		}
	}
	t.Error("the transaction is still open")
}

func TestWhatIsLost(t *testing.T) {
	for _, err := range []error{
		&net.OpError{Op: "dial", Err: net.ErrClosed}, sarama.ErrNotConnected, sarama.ErrOutOfBrokers, fmt.Errorf("x: %w", errCut),
	} {
		if !lost(err) || moved(err) {
			t.Errorf("%v: lost %v, moved %v", err, lost(err), moved(err))
		}
	}
	if codes := []error{sarama.ErrNotEnoughReplicas, sarama.ErrInvalidProducerEpoch, sarama.ErrOutOfOrderSequenceNumber, sarama.ErrInvalidTxnState}; slices.ContainsFunc(codes, func(err error) bool {
		return lost(err) || moved(err)
	}) {
		t.Errorf("one of %v is repeated", codes)
	}
}
