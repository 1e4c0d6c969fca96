package processor

import (
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// limits are what topics take of a record, as far as it is known: what they say,
// and which records they have refused. It is safe for concurrent use.
type limits struct {
	seed maphash.Seed

	mu      sync.RWMutex
	topics  map[string]topology.Limits
	refused map[uint64]error  // by what was refused
	created map[string]string // settings of topics that are made here
}

func newLimits() *limits {
	return &limits{seed: maphash.MakeSeed(), topics: map[string]topology.Limits{}, refused: map[uint64]error{}, created: map[string]string{}}
}

// defaultMessageBytes is Kafka's default for max.message.bytes.
const defaultMessageBytes = 1048588

// maxRefused is how many refusals are remembered. A program that gets there
// writes what is refused under ever new keys or values.
const maxRefused = 10_000

// of returns what a topic takes. A topic that nobody could ask takes everything,
// until it refuses something.
func (l *limits) of(topic string) topology.Limits {
	l.mu.RLock()
	defer l.mu.RUnlock()
	t := l.topics[topic]
	if len(l.refused) > 0 {
		t.Refuses = func(key, value []byte) error {
			l.mu.RLock()
			defer l.mu.RUnlock()
			return l.refused[l.hash(topic, key, value)]
		}
	}
	return t
}

// refuse remembers that a broker has refused a record, so that whoever writes it
// again is to blame. It is false if that was known already: then nobody knows
// who writes it.
func (l *limits) refuse(e *kafka.RefusedError) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.hash(e.Topic, e.Key, e.Value)
	if l.refused[h] != nil || len(l.refused) >= maxRefused {
		return false
	}
	_, cure := classify(e.Err)
	l.refused[h] = fmt.Errorf("%w: %s", e, cure)
	t := l.topics[e.Topic]
	if n := topology.BatchBytes(e.Key, e.Value, nil); errors.Is(e, sarama.ErrMessageSizeTooLarge) && (t.Bytes == 0 || n <= t.Bytes) {
		t.Bytes = n - 1 // the broker takes less than it says, if it says something
		l.topics[e.Topic] = t
	}
	return true
}

func (l *limits) hash(topic string, key, value []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	for _, part := range [][]byte{[]byte(topic), key, value} {
		_, _ = fmt.Fprintf(&h, "%d:", len(part))
		_, _ = h.Write(part)
	}
	return h.Sum64()
}

// limitSettings are the settings of a topic that say what it takes.
var limitSettings = []string{
	"max.message.bytes", "cleanup.policy", "message.timestamp.type",
	"message.timestamp.before.max.ms", "message.timestamp.after.max.ms",
	"message.timestamp.difference.max.ms", // before Kafka 3.6 instead of those two
}

// limitsOf reads the settings.
func limitsOf(config map[string]string) topology.Limits {
	bytes, _ := strconv.Atoi(config["max.message.bytes"])
	l := topology.Limits{Bytes: bytes, Compacted: strings.Contains(config["cleanup.policy"], "compact")}
	if config["message.timestamp.type"] != "LogAppendTime" {
		either := config["message.timestamp.difference.max.ms"]
		l.Before = shortest(either, config["message.timestamp.before.max.ms"])
		l.After = shortest(either, config["message.timestamp.after.max.ms"])
	}
	return l
}

// shortest returns the shortest time of settings in milliseconds, 0 for any. As
// the broker does, it takes what is longer than a Duration for any.
func shortest(settings ...string) (d time.Duration) {
	for _, s := range settings {
		ms, err := strconv.ParseInt(s, 10, 64)
		if err == nil && ms <= math.MaxInt64/int64(time.Millisecond) && (d == 0 || time.Duration(ms)*time.Millisecond < d) {
			d = max(time.Duration(ms)*time.Millisecond, 1)
		}
	}
	return d
}

// askLimits asks the brokers what topics take. Those that the user may not
// describe are left out: their refusals tell as much, only later.
func (p *Processor) askLimits(topics []string) error {
	admin, err := sarama.NewClusterAdminFromClient(p.client) // closing it would close the client
	if err != nil {
		return err
	}
	var resources []*sarama.ConfigResource
	for _, topic := range topics {
		resources = append(resources, &sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: limitSettings})
	}
	if len(resources) == 0 {
		return nil
	}
	results, err := admin.DescribeConfigs(resources, sarama.DescribeConfigsOptions{})
	if err != nil {
		return fmt.Errorf("limits of topics: %w", err)
	}
	p.limits.mu.Lock()
	defer p.limits.mu.Unlock()
	for _, r := range results {
		if r.ErrorCode != sarama.ErrNoError {
			p.config.Logger.Debug("limits of a topic are not known", "topic", r.Name, "error", r.ErrorCode)
			continue
		}
		config := map[string]string{}
		for _, e := range r.Configs {
			config[e.Name] = e.Value
		}
		p.limits.topics[r.Name] = limitsOf(config)
		p.limits.raise(config)
	}
	return nil
}

// raise notes what topics that are made here have to take, so that they take
// what another topic does, and any time.
func (l *limits) raise(config map[string]string) {
	n, _ := strconv.Atoi(config["max.message.bytes"])
	if was, _ := strconv.Atoi(l.created["max.message.bytes"]); n > max(was, defaultMessageBytes) {
		l.created["max.message.bytes"] = strconv.Itoa(n)
	}
	for _, name := range limitSettings {
		if strings.HasPrefix(name, "message.timestamp.") && strings.HasSuffix(name, ".max.ms") && shortest(config[name]) > 0 {
			l.created[name] = strconv.FormatInt(math.MaxInt64, 10)
		}
	}
}

// settings returns what a topic is created with that has some settings already.
// In the topic for dead letters, what is too large for another one, and headers
// beside it, should find room.
func (l *limits) settings(deadLetters bool, config map[string]string) map[string]string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	all := maps.Clone(l.created)
	if deadLetters {
		n, _ := strconv.Atoi(all["max.message.bytes"])
		all["max.message.bytes"] = strconv.Itoa(max(n+64<<10, 8<<20))
	}
	maps.Copy(all, config)
	return all
}

// allTopics returns the topology's topics that exist, and the one for dead letters.
func (p *Processor) allTopics() []string {
	topics := []string{p.deadLetters()}
	for _, g := range p.topology.Groups() {
		topics = slices.Concat(topics, g.Inputs, g.Outputs)
		for _, s := range g.Stores {
			topics = append(topics, s.Changelog)
		}
	}
	slices.Sort(topics)
	return slices.DeleteFunc(slices.Compact(topics), func(topic string) bool { return !p.knows(topic) })
}

// maxMessageBytes returns a topic's setting of that name, 0 if it is not known.
func (p *Processor) maxMessageBytes(topic string) int { return p.limits.of(topic).Bytes }

// refused takes up that a broker has refused a record: what the topics take is
// asked for anew, and the record is remembered. It tells whether it is new, so
// that it helps to process the record again: then its policy decides.
func (p *Processor) refused(err error) bool {
	e, ok := errors.AsType[*kafka.RefusedError](err)
	if !ok {
		return false
	}
	if err := p.askLimits([]string{e.Topic}); err != nil {
		p.config.Logger.Debug("asking for the limits of a topic", "error", err)
	}
	return p.limits.refuse(e)
}
