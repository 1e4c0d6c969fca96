package processor_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/processor/embedded"
	"github.com/tidemark-dev/tidemark/topology"
)

var (
	words = topology.Topic[string, string]{Name: "words", Key: codec.String{}, Value: codec.String{}}
	seen  = topology.Store[string, int64]{Name: "seen"}
)

// A processor within a program that has a main of its own. The servers are
// embedded here; elsewhere Brokers are the addresses of a Kafka.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	servers, end := context.WithCancel(context.Background())
	defer end()
	flags, err := embedded.Start(servers)
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "counter-state")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := write(flags["brokers"], "tide", "ebb", "tide"); err != nil {
		log.Fatal(err)
	}

	b := topology.NewBuilder("counter")
	topology.Count(topology.Consume(b, words), seen)
	topo, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}
	p, err := processor.New(topo, processor.Config{
		Brokers:  []string{flags["brokers"]},
		StateDir: dir,
		Logger:   slog.New(slog.DiscardHandler),
		OnError: func(err error) processor.Answer {
			if e, ok := errors.AsType[*topology.RecordError](err); ok && e.Topic == words.Name {
				return processor.StopApplication
			}
			return processor.RestartTask
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	server := httptest.NewServer(p.Handler())
	defer server.Close()

	if err := p.Wait(ctx, processor.Running); err != nil {
		log.Fatal(err)
	}
	counts := processor.Query(p, seen)
	for row, err := range counts.Watch(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if row.Key == "tide" && *row.Value == 2 {
			break // until the second one is counted
		}
	}
	switch row, ok, err := counts.Get(ctx, "tide"); {
	case errors.Is(err, processor.ErrRestoring):
		fmt.Println("ask again")
	case err != nil:
		log.Fatal(err)
	case !ok:
		fmt.Println("never seen")
	default:
		fmt.Println(row.Key, row.Value, "of", row.Topic)
	}
	for row, err := range counts.Range(ctx, "t", "u") {
		fmt.Println(row.Key, row.Value, err)
	}
	_, ok, err := counts.Get(ctx, "tsunami")
	fmt.Println(ok, err)
	answer, err := http.Get(server.URL + "/v1/tables/seen/tide")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	fmt.Println(answer.Status)
	stop()
	fmt.Println(<-ended)
	// Output:
	// tide 2 of counter-seen-table
	// tide 2 <nil>
	// false <nil>
	// 200 OK
	// <nil>
}

// write creates the topic of words, and writes some.
func write(brokers string, keys ...string) error {
	cfg := sarama.NewConfig()
	cfg.Producer.Return.Successes = true
	client, err := sarama.NewClient([]string{brokers}, cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return err
	}
	if err := admin.CreateTopic(words.Name, &sarama.TopicDetail{NumPartitions: 4, ReplicationFactor: 1}, false); err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return err
	}
	defer producer.Close()
	for _, key := range keys {
		m := &sarama.ProducerMessage{Topic: words.Name, Key: sarama.StringEncoder(key), Value: sarama.StringEncoder("")}
		if _, _, err := producer.SendMessage(m); err != nil {
			return err
		}
	}
	return nil
}
