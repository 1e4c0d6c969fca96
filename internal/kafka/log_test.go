package kafka

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "log"

// A kafka is one broker in this process, or some, with a topic of one partition
// that can be compacted.
type kafka struct {
	*kfake.Cluster
	t       *testing.T
	brokers []string
	client  sarama.Client
}

func newKafka(t *testing.T) *kafka { return newBrokers(t, 1) }

func newBrokers(t *testing.T, n int) *kafka {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(n))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	if err := cluster.CreateTopic(topic, 1, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	k := &kafka{Cluster: cluster, t: t, brokers: cluster.ListenAddrs()}
	k.client = k.newClient()
	return k
}

func (k *kafka) newClient() sarama.Client {
	k.t.Helper()
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	cfg.Net.MaxOpenRequests = 5
	client, err := sarama.NewClient(k.brokers, cfg)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = client.Close() })
	return client
}

// write appends records, "a1" being the key a with the value 1, and "a" a
// tombstone, as one batch; in a transaction of its own if it is to be ended.
func (k *kafka) write(end *kgo.TransactionEndTry, records ...string) (open *kgo.Client) {
	k.t.Helper()
	opts := []kgo.Opt{kgo.SeedBrokers(k.ListenAddrs()...), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(5 * time.Millisecond)}
	if end != nil {
		opts = append(opts, kgo.TransactionalID(fmt.Sprint(time.Now().UnixNano())))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(client.Close)
	if end != nil {
		if err := client.BeginTransaction(); err != nil {
			k.t.Fatal(err)
		}
	}
	var batch []*kgo.Record
	for _, r := range records {
		record := &kgo.Record{Key: []byte(r[:1])}
		if len(r) > 1 {
			record.Value = []byte(r[1:])
		}
		batch = append(batch, record)
	}
	if err := client.ProduceSync(context.Background(), batch...).FirstErr(); err != nil {
		k.t.Fatal(err)
	}
	return client
}

func (k *kafka) transaction(end kgo.TransactionEndTry, records ...string) {
	k.t.Helper()
	if err := k.write(&end, records...).EndTransaction(context.Background(), end); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kafka) log() Log { return Log{Client: k.client, Topic: topic} }

// read reads from an offset to the end, and returns records as "a1@0".
func (k *kafka) read(from int64) (records []string) {
	k.t.Helper()
	_, end, err := k.log().Bounds()
	if err != nil {
		k.t.Fatal(err)
	}
	for from < end {
		next, stable, err := k.log().Read(from, 100*time.Millisecond, func(r *sarama.Record, offset int64, _ time.Time) error {
			records = append(records, fmt.Sprintf("%s%s@%d", r.Key, r.Value, offset))
			return nil
		})
		if err != nil {
			k.t.Fatal(err)
		}
		if next == from {
			if stable < end {
				return append(records, fmt.Sprintf("open@%d", next))
			}
			return append(records, fmt.Sprintf("hole@%d", next))
		}
		from = next
	}
	return records
}

func TestLogRead(t *testing.T) {
	abort, open := kgo.TryAbort, kgo.TryCommit
	for name, test := range map[string]struct {
		write func(k *kafka)
		from  int64
		want  []string
	}{
		"empty":     {func(*kafka) {}, 0, nil},
		"plain":     {func(k *kafka) { k.write(nil, "a1", "b2", "a") }, 0, []string{"a1@0", "b2@1", "a@2"}},
		"mid-batch": {func(k *kafka) { k.write(nil, "a1", "b2", "c3") }, 1, []string{"b2@1", "c3@2"}},
		"committed": {func(k *kafka) {
			k.transaction(kgo.TryCommit, "a1", "b2")
			k.transaction(kgo.TryCommit, "c3")
		}, 0, []string{"a1@0", "b2@1", "c3@3"}},
		"aborted first": {func(k *kafka) {
			k.transaction(kgo.TryAbort, "a1", "b2")
			k.transaction(kgo.TryCommit, "c3")
		}, 0, []string{"c3@3"}},
		"aborted last": {func(k *kafka) {
			k.write(nil, "c3")
			k.transaction(kgo.TryAbort, "a1", "b2")
		}, 0, []string{"c3@0"}},
		"from within an aborted batch": {func(k *kafka) {
			k.transaction(kgo.TryAbort, "a1", "b2", "c3")
			k.write(nil, "d4")
		}, 1, []string{"d4@4"}},
		"from a marker": {func(k *kafka) {
			k.transaction(kgo.TryAbort, "a1", "b2")
			k.write(nil, "d4")
		}, 2, []string{"d4@3"}},
		"between the batches of an aborted transaction": {func(k *kafka) {
			c := k.write(&abort, "a1", "b2")
			k.write(nil, "x9")
			k.more(c, "c3")
			k.end(c, kgo.TryAbort)
			k.write(nil, "d4")
		}, 2, []string{"x9@2", "d4@5"}},
		"interleaved": {func(k *kafka) {
			one, two := k.write(&abort, "a1"), k.write(&open, "b2")
			k.more(one, "a3")
			k.end(two, kgo.TryCommit)
			k.more(one, "a5")
			k.end(one, kgo.TryAbort)
			k.transaction(kgo.TryCommit, "c8")
		}, 0, []string{"b2@1", "c8@6"}},
		"aborted, and committed by the same producer": {func(k *kafka) {
			c := k.write(&abort, "a1")
			k.end(c, kgo.TryAbort)
			if err := c.BeginTransaction(); err != nil {
				k.t.Fatal(err)
			}
			k.more(c, "b2")
			k.end(c, kgo.TryCommit)
		}, 0, []string{"b2@2"}},
		"open": {func(k *kafka) {
			k.write(nil, "a1")
			k.write(&open, "b2")
			k.write(nil, "c3")
		}, 0, []string{"a1@0", "open@1"}},
		"compacted": {func(k *kafka) {
			k.write(nil, "z0") // kfake forgets the log before the first record that is left
			for i := range 6 {
				k.write(nil, fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i))
			}
			k.write(nil, "c9")
			k.Compact()
		}, 0, []string{"z0@0", "a5@11", "b5@12", "c9@13"}},
		"compacted, from a hole": {func(k *kafka) {
			k.write(nil, "z0") // kfake forgets the log before the first record that is left
			for i := range 6 {
				k.write(nil, fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i))
			}
			k.write(nil, "c9")
			k.Compact()
		}, 3, []string{"a5@11", "b5@12", "c9@13"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKafka(t)
			test.write(k)
			if diff := cmp.Diff(test.want, k.read(test.from)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

func (k *kafka) more(c *kgo.Client, record string) {
	k.t.Helper()
	if err := c.ProduceSync(context.Background(), kgo.KeySliceRecord([]byte(record[:1]), []byte(record[1:]))).FirstErr(); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kafka) end(c *kgo.Client, how kgo.TransactionEndTry) {
	k.t.Helper()
	if err := c.EndTransaction(context.Background(), how); err != nil {
		k.t.Fatal(err)
	}
}

// An error of the reader ends the reading, and the offset stays.
func TestLogReadRefused(t *testing.T) {
	k := newKafka(t)
	k.write(nil, "a1", "b2")
	wrong := errors.New("wrong")
	next, _, err := k.log().Read(1, 0, func(*sarama.Record, int64, time.Time) error { return wrong })
	if next != 1 || !errors.Is(err, wrong) {
		t.Errorf("got %d, %v", next, err)
	}
	if _, _, err := k.log().Read(99, 0, nil); !errors.Is(err, sarama.ErrOffsetOutOfRange) {
		t.Errorf("got %v, want that the offset is out of range", err)
	}
}
