package embedded_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/redis/go-redis/v9"

	"github.com/tidemark-dev/tidemark/processor/embedded"
)

func Test(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	flags, err := embedded.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}

	cfg := sarama.NewConfig()
	admin, err := sarama.NewClusterAdmin([]string{flags["brokers"]}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.CreateTopic("words", &sarama.TopicDetail{NumPartitions: -1, ReplicationFactor: -1}, false); err != nil {
		t.Fatal(err)
	}
	topics, err := admin.DescribeTopics([]string{"words", "others"})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(topics[0].Partitions); n != 4 {
		t.Errorf("words has %d partitions, want 4", n)
	}
	if topics[1].Err != sarama.ErrUnknownTopicOrPartition {
		t.Errorf("others: %v, want that there is no such topic", topics[1].Err)
	}

	client := redis.NewClient(&redis.Options{Addr: flags["redis"]})
	defer client.Close()
	if err := client.Set(ctx, "a", "b", 0).Err(); err != nil {
		t.Fatal(err)
	}

	stop()
	for name, address := range flags {
		waitClosed(t, name, address)
	}
}

func waitClosed(t *testing.T, name, address string) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for time.Now().Before(deadline) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		c.Close()
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("%s still listens at %s", name, address)
}
