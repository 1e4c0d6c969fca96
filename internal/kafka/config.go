package kafka

import (
	"context"
	"time"

	"github.com/IBM/sarama"
	"github.com/rcrowley/go-metrics"
)

// A Config says how clients reach the brokers.
type Config struct {
	Brokers []string
	Name    string         // that clients have in the brokers' logs and quotas
	Program *sarama.Config // what the program sets: TLS, SASL, tuning; nil for nothing
}

// Connect returns a client. It gives up when ctx is done.
func (c Config) Connect(ctx context.Context) (*Client, error) {
	return connect(ctx, c.Brokers, c.settings())
}

// settings are what all clients have: the program's, and over them what
// exactly-once needs.
func (c Config) settings() *sarama.Config {
	s := sarama.NewConfig()
	s.ClientID = c.Name
	if c.Program != nil {
		program := *c.Program
		s = &program
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

// A Membership says how a client is a member of a consumer group.
type Membership struct {
	Instance         string // of a static member
	SessionTimeout   time.Duration
	Heartbeat        time.Duration
	RebalanceTimeout time.Duration
	Strategy         sarama.BalanceStrategy
}

// ConnectMember returns a client for a consumer group. It gives up when ctx is done.
func (c Config) ConnectMember(ctx context.Context, m Membership) (*Client, error) {
	return connect(ctx, c.Brokers, c.memberSettings(m))
}

func (c Config) memberSettings(m Membership) *sarama.Config {
	s := c.settings()
	s.Net.ReadTimeout = max(s.Net.ReadTimeout, 3*m.RebalanceTimeout)               // a JoinGroup waits for all members
	s.Metadata.RefreshFrequency = min(s.Metadata.RefreshFrequency, 30*time.Second) // how long partitions that are added go unnoticed
	s.Consumer.MaxWaitTime, s.Consumer.Fetch.Default = time.Millisecond, 1         // it is not to fetch: its claims are paused
	s.Consumer.Offsets.Initial = sarama.OffsetOldest
	s.Consumer.Offsets.AutoCommit.Enable = false
	s.Consumer.Return.Errors = true
	s.Consumer.Group.InstanceId = m.Instance
	s.Consumer.Group.ResetInvalidOffsets = false // it would lose records without a word
	s.Consumer.Group.Session.Timeout = m.SessionTimeout
	s.Consumer.Group.Heartbeat.Interval = m.Heartbeat
	s.Consumer.Group.Rebalance.Timeout = m.RebalanceTimeout
	// Members that start together disturb each other's joins, and everybody's
	// commits wait meanwhile: sarama's pause of 2s, up to four times, is a stall.
	s.Consumer.Group.Rebalance.Retry.Backoff, s.Consumer.Group.Rebalance.Retry.Max = 50*time.Millisecond, 100
	s.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{m.Strategy}
	return s
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
