package processor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/rcrowley/go-metrics"

	"github.com/tidemark-dev/tidemark/internal/waiting"
)

// saramaConfig is what all clients have: the user's configuration with what
// exactly-once needs set over it.
func (c Config) saramaConfig(application string) *sarama.Config {
	s := sarama.NewConfig()
	s.ClientID = application
	s.Consumer.Fetch.Default = 256 << 10 // a megabyte for each of many partitions takes too much memory
	if c.Kafka != nil {
		user := *c.Kafka
		s = &user
	} else {
		s.MetricRegistry = noMetrics{}
		s.Net.DialTimeout, s.Net.ReadTimeout, s.Net.WriteTimeout = 5*time.Second, 15*time.Second, 15*time.Second
	}
	if !s.Version.IsAtLeast(sarama.V2_8_0_0) {
		s.Version = sarama.V2_8_0_0 // cooperative rebalancing, and offsets fenced by generation
	}
	s.Net.MaxOpenRequests = 5 // what a broker takes of one idempotent producer
	s.Metadata.AllowAutoTopicCreation = false
	s.Consumer.IsolationLevel = sarama.ReadCommitted
	return s
}

// groupConfig is for the consumer group.
func (m *member) groupConfig() *sarama.Config {
	c := m.config
	s := c.saramaConfig(m.topology.Application())
	s.Net.ReadTimeout = max(s.Net.ReadTimeout, 3*transactionTimeout)               // a JoinGroup waits for all members
	s.Metadata.RefreshFrequency = min(s.Metadata.RefreshFrequency, 30*time.Second) // how long partitions that are added go unnoticed
	s.Consumer.MaxWaitTime = 250 * time.Millisecond                                // a stop waits for a fetch to return
	s.Consumer.Offsets.Initial = sarama.OffsetOldest
	s.Consumer.Offsets.AutoCommit.Enable = false
	s.Consumer.Return.Errors = true
	s.Consumer.Group.InstanceId = m.instance
	s.Consumer.Group.ResetInvalidOffsets = false // it would lose records without a word
	s.Consumer.Group.Session.Timeout = c.SessionTimeout
	s.Consumer.Group.Heartbeat.Interval = heartbeat
	s.Consumer.Group.Rebalance.Timeout = transactionTimeout
	// Members that start together disturb each other's joins, and everybody's
	// commits wait meanwhile: sarama's pause of 2s, up to four times, is a stall.
	s.Consumer.Group.Rebalance.Retry.Backoff, s.Consumer.Group.Rebalance.Retry.Max = 50*time.Millisecond, 100
	s.Consumer.Retry.Backoff = 250 * time.Millisecond // after a leader has moved
	s.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{m.balance}
	return s
}

// connect returns a client, however long Kafka takes to be there, within
// StartTimeout.
func (p *Processor) connect(ctx context.Context) (sarama.Client, error) {
	at := "Kafka at " + strings.Join(p.config.Brokers, ",")
	budget, cancel := context.WithTimeout(ctx, p.config.StartTimeout)
	defer cancel()
	p.waits.Expect(at, "", noAnswer)
	last := errors.New(noAnswer)
	for ctx.Err() == nil {
		client, err := newClient(budget, p.config.Brokers, p.config.saramaConfig(p.topology.Application()))
		if err == nil {
			p.waits.Clear(at, "")
			return client, nil
		}
		if c, _ := classify(err); c == setupError {
			return nil, fmt.Errorf("%s: %w", at, cured(sentence{err}))
		}
		if budget.Err() == nil {
			last = explain(err)
			p.waits.Set(at, "", last)
		}
		if sleep(budget, 500*time.Millisecond) != nil && ctx.Err() == nil {
			return nil, fmt.Errorf("%s: %w (tried for %v)", at, last, p.config.StartTimeout)
		}
	}
	return nil, ctx.Err()
}

const noAnswer = "no answer: are these the addresses of its brokers, and does it want TLS?"

// explain names the usual cause of errors that do not.
func explain(err error) error {
	err = sentence{err}
	switch {
	case errors.Is(err, sarama.ErrOutOfBrokers) && errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the broker closed the connection: does it want TLS or SASL, or refuse the password?", err)
	case errors.Is(err, sarama.ErrOutOfBrokers):
		return fmt.Errorf("%w: is it running, and are these its advertised addresses?", err)
	}
	return err
}

// A sentence is an error on one line, which more can follow: sarama writes a line
// for each broker, and some of its errors end with a full stop.
type sentence struct{ error }

func (s sentence) Error() string { return waiting.Sentence(s.error.Error()) }
func (s sentence) Unwrap() error { return s.error }

// sleep waits, unless ctx is done first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// noMetrics is a registry that keeps nothing. sarama's own metrics cost more
// CPU than the rest of a record's way, and nobody can see them here.
type noMetrics struct{}

func (noMetrics) Each(func(string, any))            {}
func (noMetrics) Get(string) any                    { return nil }
func (noMetrics) GetAll() map[string]map[string]any { return nil }
func (noMetrics) Register(string, any) error        { return nil }
func (noMetrics) RunHealthchecks()                  {}
func (noMetrics) Unregister(string)                 {}
func (noMetrics) UnregisterAll()                    {}
func (noMetrics) GetOrRegister(_ string, metric any) any {
	switch metric.(type) {
	case func() metrics.Meter:
		return metrics.NilMeter{}
	case func() metrics.Histogram:
		return metrics.NilHistogram{}
	case func() metrics.Counter:
		return metrics.NilCounter{}
	}
	return metric
}
