package referee_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/tidemark-dev/tidemark/internal/proof/referee"
	"github.com/tidemark-dev/tidemark/topology"
)

func TestReadSeesOnlyWhatIsCommitted(t *testing.T) {
	brokers, c := open(t)
	if err := c.Create("journal", 1); err != nil {
		t.Fatal(err)
	}
	if err := c.Fill("journal", time.UnixMilli(0), maps.All(map[string][]byte{"plain": []byte("1")})); err != nil {
		t.Fatal(err)
	}
	producer := transactional(t, brokers)
	send(t, producer, "aborted")
	if err := producer.AbortTxn(); err != nil {
		t.Fatal(err)
	}
	send(t, producer, "committed")
	if err := producer.CommitTxn(); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, c), []string{"plain", "committed"}; !cmp.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}

func TestReadWaitsForOpenTransactions(t *testing.T) {
	brokers, c := open(t)
	if err := c.Create("journal", 1); err != nil {
		t.Fatal(err)
	}
	producer := transactional(t, brokers)
	send(t, producer, "late")
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.Read(short, "journal", func(topology.Raw) error { return nil }); err == nil {
		t.Error("the read ended although a transaction was open")
	}
	if err := producer.CommitTxn(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, c); !cmp.Equal(got, []string{"late"}) {
		t.Errorf("read %v", got)
	}
}

func TestDropLeavesOthersAlone(t *testing.T) {
	_, c := open(t)
	for _, topic := range []string{"mine-a", "mine-b", "theirs"} {
		if err := c.Create(topic, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Drop("mine-"); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, topic := range []string{"mine-a", "mine-b", "theirs"} {
		if there, err := c.Exists(topic); err != nil {
			t.Fatal(err)
		} else if there {
			left = append(left, topic)
		}
	}
	if !cmp.Equal(left, []string{"theirs"}) {
		t.Errorf("left are %v", left)
	}
}

func open(t *testing.T) (brokers []string, c *referee.Cluster) {
	t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	if c, err = referee.Open(fake.ListenAddrs()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return fake.ListenAddrs(), c
}

func transactional(t *testing.T, brokers []string) sarama.SyncProducer {
	t.Helper()
	cfg := referee.Config()
	cfg.Producer.Return.Successes = true
	cfg.Producer.Transaction.ID = "test"
	p, err := sarama.NewSyncProducer(brokers, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func send(t *testing.T, p sarama.SyncProducer, key string) {
	t.Helper()
	if err := p.BeginTxn(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: "journal", Key: sarama.StringEncoder(key)}); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, c *referee.Cluster) (keys []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Read(ctx, "journal", func(r topology.Raw) error {
		keys = append(keys, string(r.Key))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return slices.Clip(keys)
}
