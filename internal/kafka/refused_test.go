package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/topology"
)

const smallBytes = 10_000

// A small is a topic that takes little, in a Kafka of its own or in a real one.
type small struct {
	*kafka
	name string
}

func newSmall(t *testing.T) *small {
	t.Helper()
	k := &small{newKafka(t), "small"}
	limit := fmt.Sprint(smallBytes)
	if err := k.CreateTopic(k.name, 1, map[string]string{"max.message.bytes": limit}); err != nil {
		t.Fatal(err)
	}
	return k
}

// realSmall returns such topics of the Kafka of the environment.
func realSmall(t *testing.T) func(*testing.T) *small {
	t.Helper()
	brokers := os.Getenv("TIDEMARK_BROKERS")
	if brokers == "" {
		t.Skip("TIDEMARK_BROKERS is not set: host:port of a real Kafka")
	}
	return func(t *testing.T) *small {
		t.Helper()
		k := &small{&kafka{t: t, brokers: strings.Split(brokers, ",")}, fmt.Sprintf("test-%d", time.Now().UnixNano())}
		k.client = k.newClient()
		admin, err := sarama.NewClusterAdminFromClient(k.client)
		if err != nil {
			t.Fatal(err)
		}
		limit, forever := fmt.Sprint(smallBytes), "-1" // the records are of 1970
		settings := map[string]*string{"max.message.bytes": &limit, "retention.ms": &forever}
		if err := admin.CreateTopic(k.name, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: -1, ConfigEntries: settings}, false); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = admin.DeleteTopic(k.name) })
		for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(10 * time.Millisecond) { // its leader learns of it
			if _, err = k.client.GetOffset(k.name, 0, sarama.OffsetNewest); err == nil {
				break
			}
		}
		return k
	}
}

// fitting returns a value with which the record is as large as that.
func fitting(key string, size int) []byte {
	value := make([]byte, size)
	for len(value) > 0 && topology.BatchBytes([]byte(key), value, nil) > size {
		value = value[1:]
	}
	return value
}

// A single record is taken up to the limit, to the byte, and is refused by name
// beyond it: [topology.BatchBytes] counts as the broker does.
func TestBatchBytes(t *testing.T)            { testBatchBytes(t, newSmall) }
func TestIntegrationBatchBytes(t *testing.T) { testBatchBytes(t, realSmall(t)) }

func testBatchBytes(t *testing.T, newSmall func(*testing.T) *small) {
	for _, headers := range [][]topology.Header{nil, {{Key: "h", Value: nil}}, {{Key: "h", Value: make([]byte, 200)}, {Key: "", Value: []byte{}}}} {
		for _, key := range [][]byte{nil, {}, []byte("key"), make([]byte, 64), make([]byte, 8192)} {
			k := newSmall(t)
			p := k.producer(k.name)
			var sent []*sarama.RecordHeader
			for _, h := range headers {
				sent = append(sent, &sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
			}
			value := make([]byte, smallBytes)
			for topology.BatchBytes(key, value, headers) > smallBytes {
				value = value[1:]
			}
			p.Publish(k.name, 0, key, value, sent, 1000)
			p.Push()
			if err := p.Flush(); err != nil {
				t.Fatalf("%d bytes: %v", topology.BatchBytes(key, value, headers), err)
			}
			p.Publish(k.name, 0, key, append(value, 0), sent, 1000)
			p.Push()
			var refused *RefusedError
			if err := p.Flush(); !errors.As(err, &refused) || !errors.Is(err, sarama.ErrMessageSizeTooLarge) || !bytes.Equal(refused.Key, key) || refused.Topic != k.name {
				t.Fatalf("a byte more: got %v, want a refusal", err)
			}
		}
	}
}

// Records of every size up to the limit arrive, in order and once, whether or not
// the producer knows the limit.
func TestProducerFits(t *testing.T)            { testProducerFits(t, newSmall) }
func TestIntegrationProducerFits(t *testing.T) { testProducerFits(t, realSmall(t)) }

func testProducerFits(t *testing.T, newSmall func(*testing.T) *small) {
	for _, known := range []bool{true, false} {
		for seed := range uint64(20) {
			k := newSmall(t)
			p := k.producer(k.name)
			if known {
				p.MaxMessageBytes = func(string) int { return smallBytes }
			}
			p.Publish(k.name, 0, []byte("first"), nil, nil, 1000)
			p.Push()
			random := rand.New(rand.NewPCG(seed, 1))
			records := make([]*sarama.Record, 0, 300)
			for range cap(records) {
				size := []int{1, 100, smallBytes / 3, smallBytes/2 - 30 + random.IntN(60), smallBytes}[random.IntN(5)]
				records = append(records, &sarama.Record{Key: fmt.Appendf(nil, "%06d", len(records)), Value: fitting("000000", size)})
			}
			for rest := records; len(rest) > 0; {
				n := 1 + random.IntN(len(rest))
				if random.IntN(2) == 0 {
					p.Send(k.name, 0, rest[:n], make([]int64, n))
				} else {
					for _, r := range rest[:n] {
						p.Publish(k.name, 0, r.Key, r.Value, nil, 0)
					}
				}
				p.Push()
				rest = rest[n:]
			}
			if err := p.Flush(); err != nil {
				t.Fatalf("known %v, seed %d: %v", known, seed, err)
			}
			k.commit(p)
			if end, _ := p.End(k.name, 0); end != int64(len(records)+1) {
				t.Errorf("known %v, seed %d: end %d, want %d", known, seed, end, len(records)+1)
			}
			log, next := Log{Client: k.client, Topic: k.name}, -1
			for at := int64(0); at <= int64(len(records)); {
				var err error
				at, _, err = log.Read(at, time.Second, func(r *sarama.Record, _ int64, _ time.Time) error {
					if next >= 0 && (!bytes.Equal(r.Key, records[next].Key) || len(r.Value) != len(records[next].Value)) {
						return fmt.Errorf("got %s at %d, want %s", r.Key, next, records[next].Key)
					}
					next++
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// Each code that blames what is in a batch leads to the record that is to blame,
// and no other code is repeated.
func TestProducerBlames(t *testing.T) {
	for _, refusal := range []*kerr.Error{kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidTimestamp, kerr.InvalidRecord} {
		t.Run(refusal.Message, func(t *testing.T) {
			k := newKafka(t)
			p := k.producer("id")
			k.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
				produce, ok := req.(*kmsg.ProduceRequest)
				if !ok || !bytes.Contains(produce.Topics[0].Partitions[0].Records, []byte("poison")) {
					k.KeepControl()
					return nil, nil, false
				}
				k.KeepControl()
				resp := produce.ResponseKind().(*kmsg.ProduceResponse)
				resp.Topics = []kmsg.ProduceResponseTopic{{Topic: topic, Partitions: []kmsg.ProduceResponseTopicPartition{{ErrorCode: refusal.Code}}}}
				return resp, nil, true
			})
			for i := range 100 {
				value := "good"
				if i == 61 {
					value = "poison"
				}
				p.Publish(topic, 0, fmt.Append(nil, i), []byte(value), nil, 1000)
			}
			p.Push()
			var refused *RefusedError
			if err := p.Flush(); !errors.As(err, &refused) || string(refused.Key) != "61" || string(refused.Value) != "poison" {
				t.Errorf("got %v, want record 61 to be blamed", err)
			}
		})
	}
	k := newKafka(t)
	p := k.producer("id")
	h := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.OutOfOrderSequenceNumber})
	p.Publish(topic, 0, []byte("a"), nil, nil, 1000)
	p.Push()
	if err := p.Flush(); !errors.Is(err, sarama.ErrOutOfOrderSequenceNumber) || h.Hits() != 1 {
		t.Errorf("got %v after %d requests, want the first answer", err, h.Hits())
	}
}
