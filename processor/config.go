package processor

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/topology"
)

// Config says where and how a processor runs. Only Brokers and StateDir have
// no default.
type Config struct {
	// Brokers are the addresses at which Kafka is first reached. Required.
	Brokers []string

	// StateDir holds the tables and the identity of the instance; no two
	// processes can use one. Required.
	StateDir string

	// Guarantee defaults to ExactlyOnce.
	Guarantee Guarantee

	// CommitInterval is the longest time between commits. A commit also comes when
	// the input is dry; far behind its end the interval stretches to five times
	// its length. Never does it exceed 5s, half of the time after which the brokers
	// would abort the transaction. Defaults to 100ms.
	CommitInterval time.Duration

	// MaxTaskIdle is how long a task with several inputs waits for records of one
	// that has run dry, before it goes on with the others: what comes later may
	// then be older. Known records that are on their way it waits for in any case.
	// A negative time takes what there is, and waits for nothing. Defaults to 0.
	MaxTaskIdle time.Duration

	// SessionTimeout is when a silent instance is replaced; brokers allow 6s to
	// 30min. Heartbeats are sent every 300ms, because a rebalance waits for the
	// slowest of them. Defaults to 10s.
	SessionTimeout time.Duration

	// StartTimeout is how long Kafka and the sinks may be out of reach at start.
	// Later Run waits for them without an end. Defaults to 30s.
	StartTimeout time.Duration

	// DrainTimeout is how long Run may go on after its context is done, to commit
	// what was begun and to leave the group. A function of the program that blocks
	// longer is left behind, and with it the tables that it works on: the state
	// directory can be used again when it returns, or when the process ends.
	// Defaults to 30s.
	DrainTimeout time.Duration

	// Advertise is the host and port at which other instances reach Handler.
	// Defaults to none: keys that live here are not found from there.
	Advertise string

	// Hosts are more names under which Handler is asked, as by a proxy; others than
	// localhost, addresses and Advertise are refused. "*" takes any. Defaults to none.
	Hosts []string

	// Replication is for topics that tidemark creates. Defaults to the brokers'
	// default.
	Replication int

	// Topics are settings of the topics that tidemark creates, by the topic's name,
	// and under "" of all of them: {"": {"compression.type": "zstd"}}. They are
	// used when a topic is created, and change none that exists. cleanup.policy and
	// message.timestamp.type cannot be set. Defaults to the brokers' defaults.
	Topics map[string]map[string]string

	// Policies are for input that cannot be processed. They default to Fail.
	Policies topology.Policies

	// OnError decides what ends because of an error that no policy covers. It is
	// called once for each time that a group's work ends with an error, and not for
	// errors of class setup, and of class lingering after StartTimeout: these end
	// the instance. Defaults to RestartTask for the classes passing, lingering and
	// store, and to StopInstance for record, such as a *topology.RecordError, and
	// unknown. The classes are described in docs/design.md, "Errors".
	OnError func(error) Answer

	// Logger defaults to slog.Default().
	Logger *slog.Logger

	// Kafka is for TLS, SASL and tuning; what exactly-once needs is set over it.
	// Defaults to tidemark's own settings.
	Kafka *sarama.Config
}

// A Guarantee says what a crash may do to the effects of a record.
type Guarantee int

// Guarantees, strongest first.
const (
	ExactlyOnce Guarantee = iota // effects in Kafka, tables and sinks happen once
	AtLeastOnce                  // effects may be repeated
)

// An Answer says what ends because of an error.
type Answer int

// Answers of an error handler, mildest first.
const (
	RestartTask     Answer = iota // the tasks of the instance start again from their last commit, after a pause
	StopInstance                  // Run returns the error
	StopApplication               // Run returns the error here and on every other instance
)

// Validate reports every setting that is wrong. It contacts nothing.
func (c Config) Validate() error {
	_, err := c.withDefaults()
	return err
}

// withDefaults returns the configuration with its defaults, and every setting
// that is wrong.
func (c Config) withDefaults() (Config, error) {
	var wrong []error
	refuse := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if len(c.Brokers) == 0 {
		refuse("Brokers: at least one address is required")
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			refuse("Brokers: %q is not host:port", b)
		}
	}
	if c.StateDir == "" {
		refuse("StateDir: required")
	}
	if c.Advertise != "" {
		if host, port, err := net.SplitHostPort(c.Advertise); err != nil || host == "" || port == "" {
			refuse("Advertise: %q is not host:port", c.Advertise)
		}
	}
	for name, d := range map[string]*time.Duration{
		"CommitInterval": &c.CommitInterval, "SessionTimeout": &c.SessionTimeout,
		"StartTimeout": &c.StartTimeout, "DrainTimeout": &c.DrainTimeout,
	} {
		if *d < 0 {
			refuse("%s: %v is negative", name, *d)
		}
	}
	c.CommitInterval = cmp.Or(c.CommitInterval, 100*time.Millisecond)
	c.SessionTimeout = cmp.Or(c.SessionTimeout, 10*time.Second)
	c.StartTimeout = cmp.Or(c.StartTimeout, 30*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 30*time.Second)
	if c.SessionTimeout > 0 && c.SessionTimeout < 10*heartbeat {
		refuse("SessionTimeout: %v is less than ten heartbeats of %v", c.SessionTimeout, heartbeat)
	}
	if c.CommitInterval > longestCommit {
		refuse("CommitInterval: %v is more than %v, half of the %v after which brokers abort a transaction", c.CommitInterval, longestCommit, transactionTimeout)
	}
	wrong = append(wrong, c.wrongTopics()...)
	if c.Replication < 0 {
		refuse("Replication: %d is negative", c.Replication)
	}
	if err := c.Policies.Validate(); err != nil {
		refuse("%w", err)
	}
	if c.Guarantee != ExactlyOnce && c.Guarantee != AtLeastOnce {
		refuse("Guarantee: %d is not a guarantee", c.Guarantee)
	}
	if c.Kafka != nil {
		if err := c.Kafka.Validate(); err != nil {
			refuse("Kafka: %w", err)
		}
	}
	if c.OnError == nil {
		c.OnError = func(err error) Answer {
			switch c, _ := classify(err); c {
			case passing, lingering, storeError:
				return RestartTask
			}
			return StopInstance
		}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	slices.SortFunc(wrong, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return c, errors.Join(wrong...)
}

const (
	heartbeat          = 300 * time.Millisecond
	transactionTimeout = 10 * time.Second
	longestCommit      = transactionTimeout / 2 // between commits: a rebalance may hold one up
)
