package referee

import (
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// Fill writes records to a topic as fast as one client can, keys in order, and
// returns when all of them are acknowledged. Their times are a millisecond apart.
func (c *Cluster) Fill(topic string, from time.Time, records iter.Seq2[string, []byte]) error {
	cfg := Config()
	cfg.Producer.Return.Successes = true
	cfg.Producer.Flush.Frequency = 2 * time.Millisecond
	cfg.Producer.Flush.MaxMessages = 10_000
	cfg.ChannelBufferSize = 4096
	brokers := make([]string, 0, len(c.client.Brokers()))
	for _, b := range c.client.Brokers() {
		brokers = append(brokers, b.Addr())
	}
	producer, err := sarama.NewAsyncProducer(brokers, cfg)
	if err != nil {
		return fmt.Errorf("fill topic %s: %w", topic, err)
	}
	refused := make(chan error, 1)
	var open sync.WaitGroup // a producer that is closed refuses what it has to send again
	go func() {
		for range producer.Successes() { // ends when the producer is closed
			open.Done()
		}
	}()
	go func() {
		defer close(refused)
		for e := range producer.Errors() {
			select {
			case refused <- e.Err:
			default: // the first one is enough
			}
			open.Done()
		}
	}()
	for key, value := range records {
		open.Add(1)
		producer.Input() <- &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(key), Value: sarama.ByteEncoder(value), Timestamp: from}
		from = from.Add(time.Millisecond)
	}
	open.Wait()
	producer.AsyncClose() // ends both loops above
	if err := <-refused; err != nil {
		return fmt.Errorf("fill topic %s: %w", topic, err)
	}
	return nil
}
