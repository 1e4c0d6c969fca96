package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/processor/embedded"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

func Test(t *testing.T) {
	topo, err := build()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, topo, 4)
	topologytest.Send(d, lines, "first", "The tide, the ebb")
	topologytest.Send(d, lines, "second", "THE END")
	d.Restart()
	want := map[string]int64{"the": 3, "tide": 1, "ebb": 1, "end": 1}
	if diff := cmp.Diff(want, topologytest.Rows(d, counts)); diff != "" {
		t.Error(diff)
	}
}

// The same with a Kafka and a Redis.
func TestRedis(t *testing.T) {
	ctx, end := context.WithTimeout(context.Background(), time.Minute)
	defer end()
	flags, err := embedded.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	*address = flags["redis"]
	send(t, flags["brokers"], "The tide, the ebb", "THE END")
	topo, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p, err := processor.New(topo, processor.Config{
		Brokers: []string{flags["brokers"]}, StateDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running) }()

	client := redis.NewClient(&redis.Options{Addr: *address})
	defer client.Close()
	for client.Get(ctx, "word-counts:the").Val() != "3" && ctx.Err() == nil {
		<-time.After(5 * time.Millisecond)
	}
	if got := client.Get(ctx, "word-counts:the").Val(); got != "3" {
		t.Errorf("Redis has %q for the, want 3", got)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// send creates the topic and sends lines without keys.
func send(t *testing.T, brokers string, values ...string) {
	t.Helper()
	cfg := sarama.NewConfig()
	cfg.Producer.Return.Successes = true
	client, err := sarama.NewClient([]string{brokers}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.CreateTopic(lines.Name, &sarama.TopicDetail{NumPartitions: 4, ReplicationFactor: 1}, false); err != nil {
		t.Fatal(err)
	}
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	for _, value := range values {
		if _, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: lines.Name, Value: sarama.StringEncoder(value)}); err != nil {
			t.Fatal(err)
		}
	}
}
