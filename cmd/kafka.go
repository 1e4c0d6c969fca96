package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/topology"
)

// kafka returns a connection for what the command itself sends and reads. It waits
// no longer than StartTimeout.
func (s *session) kafka(ctx context.Context) (sarama.Client, error) {
	if err := s.settings.processor(nil, s.stderr).Validate(); err != nil {
		return nil, &failure{exitUsage, s.settings.inFlags(err)}
	}
	cfg := sarama.NewConfig()
	if s.settings.config.Kafka != nil {
		own := *s.settings.config.Kafka
		cfg = &own
	} else {
		cfg.Net.DialTimeout = 5 * time.Second
	}
	cfg.ClientID = programName(s.name)
	cfg.Metadata.AllowAutoTopicCreation = false // a typo is not a topic
	cfg.Producer.Idempotent = true
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Retry.Max = max(cfg.Producer.Retry.Max, 10)
	cfg.Producer.Return.Successes = true
	cfg.Producer.Return.Errors = true
	cfg.Producer.Partitioner = sarama.NewManualPartitioner
	cfg.Net.MaxOpenRequests = 1
	cfg.Consumer.Return.Errors = false
	cfg.Consumer.IsolationLevel = sarama.ReadCommitted
	cfg.Consumer.MaxWaitTime = 50 * time.Millisecond // other requests wait behind a fetch that finds nothing
	at, within := strings.Join(s.settings.config.Brokers, ","), cmp.Or(s.settings.config.StartTimeout, 30*time.Second)
	type answer struct {
		sarama.Client
		err error
	}
	answered := make(chan answer, 1)
	go func() { // sarama knows no context: what is abandoned ends with the process
		client, err := sarama.NewClient(s.settings.config.Brokers, cfg)
		answered <- answer{client, err}
	}()
	select {
	case a := <-answered:
		if a.err != nil {
			return nil, fmt.Errorf("no answer from Kafka at %s: does it run, is --brokers right, and does it want TLS? %w", at, a.err)
		}
		return a.Client, nil
	case <-time.After(within):
		return nil, fmt.Errorf("no answer from Kafka at %s within --start-timeout, %v: is --brokers right, and does it want TLS?", at, within)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A sender sends records and counts what Kafka has acknowledged.
type sender struct {
	client   sarama.Client
	producer sarama.AsyncProducer
	counts   map[string]int32 // partitions by topic; of the sending goroutine
	keyless  int32            // records without a key, which are spread
	acked    atomic.Int64

	answers sync.WaitGroup // one goroutine, which ends when the producer is closed
	failed  chan struct{}  // closed at the first error
	err     error          // that one, once failed is closed
}

// newSender makes a sender of records of at most so many bytes, 0 for sarama's
// default.
func newSender(client sarama.Client, most int) (*sender, error) {
	if most > 0 {
		client.Config().Producer.MaxMessageBytes = most
	}
	producer, err := sarama.NewAsyncProducerFromClient(client)
	if err != nil {
		return nil, fmt.Errorf("producer: %w", err)
	}
	s := &sender{client: client, producer: producer, counts: map[string]int32{}, failed: make(chan struct{})}
	s.answers.Go(func() {
		for range producer.Successes() {
			s.acked.Add(1)
		}
	})
	s.answers.Go(func() {
		for e := range producer.Errors() {
			if _, tooLarge := errors.AsType[sarama.ConfigurationError](e.Err); tooLarge || errors.Is(e.Err, sarama.ErrMessageSizeTooLarge) {
				key, _ := e.Msg.Key.(sarama.ByteEncoder)
				e.Err = fmt.Errorf("key %q: with a key of %d and a value of %d bytes the record is larger than the topic takes (max.message.bytes)",
					key, len(key), length(e.Msg.Value))
			}
			if s.err == nil {
				s.err = fmt.Errorf("send to %s/%d: %w", e.Msg.Topic, e.Msg.Partition, e.Err)
				close(s.failed)
			}
		}
	})
	return s, nil
}

// send hands a record over to be sent. An error may be that of an earlier one.
func (s *sender) send(ctx context.Context, r topology.Raw) error {
	n, ok := s.counts[r.Topic]
	if !ok {
		partitions, err := s.client.Partitions(r.Topic)
		if errors.Is(err, sarama.ErrUnknownTopicOrPartition) || err == nil && len(partitions) == 0 {
			return fmt.Errorf("topic %q does not exist: create it first", r.Topic)
		}
		if err != nil {
			return fmt.Errorf("topic %q: %w", r.Topic, err)
		}
		n = int32(len(partitions))
		s.counts[r.Topic] = n
	}
	m := &sarama.ProducerMessage{Topic: r.Topic, Partition: topology.Partition(r.Key, n), Timestamp: r.Time}
	if r.Key == nil {
		m.Partition = s.keyless % n
		s.keyless = (s.keyless + 1) % n
	}
	if r.Key != nil {
		m.Key = sarama.ByteEncoder(r.Key)
	}
	if r.Value != nil {
		m.Value = sarama.ByteEncoder(r.Value)
	}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
	}
	select {
	case s.producer.Input() <- m:
		return nil
	case <-s.failed:
		return s.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close waits until everything is sent or given up, and returns the first error.
func (s *sender) close() error {
	s.producer.AsyncClose()
	s.answers.Wait()
	return s.err
}

func length(e sarama.Encoder) int {
	if e == nil {
		return 0
	}
	return e.Length()
}

// largest returns how many bytes a record of a topic may have, 0 if it is not known.
func largest(client sarama.Client, topic string) int {
	const name = "max.message.bytes"
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return 0
	}
	results, err := admin.DescribeConfigs([]*sarama.ConfigResource{{
		Type: sarama.TopicResource, Name: topic, ConfigNames: []string{name},
	}}, sarama.DescribeConfigsOptions{})
	if err != nil {
		return 0 // it may not be allowed; Kafka says what is too large
	}
	for _, r := range results {
		for _, e := range r.Configs {
			if n, err := strconv.Atoi(e.Value); err == nil && e.Name == name {
				return n
			}
		}
	}
	return 0
}

// createTopics creates topics and keeps what is written to them for ever.
func createTopics(client sarama.Client, names []string, partitions int32) error {
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return err
	}
	forEver := "-1"
	for _, name := range names {
		detail := &sarama.TopicDetail{
			NumPartitions: partitions, ReplicationFactor: -1,
			ConfigEntries: map[string]*string{"retention.ms": &forEver},
		}
		if err := admin.CreateTopic(name, detail, false); err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
			return fmt.Errorf("create topic %q: %w", name, err)
		}
	}
	return client.RefreshMetadata(names...)
}

// readPartition calls each for the records of a partition, from its start to
// its present end. Nothing in it may be transactional: sarama hides the marker
// behind the last record, and the end would not be recognised.
func readPartition(ctx context.Context, client sarama.Client, topic string, partition int32, each func(topology.Raw) error) error {
	end, err := client.GetOffset(topic, partition, sarama.OffsetNewest)
	if err != nil {
		return fmt.Errorf("%s/%d: %w", topic, partition, err)
	}
	first, err := client.GetOffset(topic, partition, sarama.OffsetOldest)
	if err != nil {
		return fmt.Errorf("%s/%d: %w", topic, partition, err)
	}
	if first >= end {
		return nil
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	records, err := consumer.ConsumePartition(topic, partition, first)
	if err != nil {
		return fmt.Errorf("%s/%d: %w", topic, partition, err)
	}
	defer records.Close()
	for {
		select {
		case m, ok := <-records.Messages():
			if !ok {
				return fmt.Errorf("%s/%d: ended before offset %d", topic, partition, end)
			}
			r := topology.Raw{
				Key: m.Key, Value: m.Value, Time: m.Timestamp,
				Position: topology.Position{Topic: topic, Partition: partition, Offset: m.Offset},
			}
			for _, h := range m.Headers {
				r.Headers = append(r.Headers, topology.Header{Key: string(h.Key), Value: h.Value})
			}
			if err := each(r); err != nil {
				return err
			}
			if m.Offset >= end-1 {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
