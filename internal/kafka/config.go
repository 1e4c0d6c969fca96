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
	return connect(ctx, c.Brokers, c.settings(), nil)
}

// ConnectFetcher returns a client for requests that wait for records, or for a disk: a
// broker that is given up too early is asked the same again.
func (c Config) ConnectFetcher(ctx context.Context) (*Client, error) {
	s := c.settings()
	s.Net.ReadTimeout = max(s.Net.ReadTimeout, fetchTimeout)
	return connect(ctx, c.Brokers, s, nil)
}

const fetchTimeout = 30 * time.Second

// requestTimeout is how long a producer waits for an answer, and a member for that to a
// heartbeat. It is short, since a request that is repeated is neither lost nor doubled.
const requestTimeout = 3 * time.Second

// connectProducer returns a client for a producer.
func (c Config) connectProducer(ctx context.Context) (*Client, error) {
	s := c.settings()
	for _, t := range []*time.Duration{&s.Net.DialTimeout, &s.Net.ReadTimeout, &s.Net.WriteTimeout} {
		*t = min(*t, requestTimeout)
	}
	s.Metadata.Retry.Max, s.Metadata.Retry.Backoff = 1, movedPause // whoever asks repeats it
	return connect(ctx, c.Brokers, s, nil)
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
		s.Net.DialTimeout, s.Net.ReadTimeout, s.Net.WriteTimeout = 5*time.Second, 5*time.Second, 5*time.Second
		s.Metadata.Retry.Max, s.Metadata.Retry.Backoff = 15, movedPause // sarama sleeps, even if its connections are cut
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
	Joining          func() bool // whether a JoinGroup or SyncGroup is under way, which wait for all members
}

// ConnectMember returns a client for a consumer group. It gives up when ctx is done.
func (c Config) ConnectMember(ctx context.Context, m Membership) (*Client, error) {
	return connect(ctx, c.Brokers, c.memberSettings(m), func() bool { return !m.Joining() })
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
	// Members that start together disturb each other's joins, and all commits wait
	// meanwhile. sarama's default, 2s up to four times, would be a stall.
	s.Consumer.Group.Rebalance.Retry.Backoff, s.Consumer.Group.Rebalance.Retry.Max = 50*time.Millisecond, 100
	s.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{m.Strategy}
	return s
}

// noMetrics is a registry that keeps nothing. sarama's metrics cost more CPU than all
// else that is done with a record, and nobody reads them.
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
