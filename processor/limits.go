package processor

import (
	"context"
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
	topics  map[string]*topicLimits
	created map[string]string // settings of topics that are made here
}

// A topicLimits is what is known of one topic.
type topicLimits struct {
	said    map[string]string // by its settings
	renewed time.Time         // it was asked again, when last
	takes   topology.Limits
	refused map[uint64]error // by what was refused
}

func newLimits() *limits {
	return &limits{seed: maphash.MakeSeed(), topics: map[string]*topicLimits{}, created: map[string]string{}}
}

// topic returns what is known of a topic, to be changed. mu is held.
func (l *limits) topic(name string) *topicLimits {
	t := l.topics[name]
	if t == nil {
		t = &topicLimits{refused: map[uint64]error{}}
		l.topics[name] = t
	}
	return t
}

// defaultMessageBytes is Kafka's default for max.message.bytes.
const defaultMessageBytes = 1048588

// askPause is the time between two questions about the limits of one topic, so
// that a stream of bad records does not ask for each.
const askPause = time.Second

// maxRefused is how many refusals of a topic are remembered. A program that gets
// there writes what is refused under ever new keys or values.
const maxRefused = 10_000

// of returns what a topic takes. A topic that nobody could ask takes everything,
// until it refuses something.
func (l *limits) of(topic string) topology.Limits {
	l.mu.RLock()
	defer l.mu.RUnlock()
	t := l.topics[topic]
	if t == nil {
		return topology.Limits{}
	}
	takes := t.takes
	if len(t.refused) > 0 {
		takes.Refuses = func(key, value []byte) error {
			l.mu.RLock()
			defer l.mu.RUnlock()
			return t.refused[l.hash(key, value)]
		}
	}
	return takes
}

// outdated tells whether a topic has to be asked again before its limits refuse
// something: that was not done a moment ago.
func (l *limits) outdated(topic string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	t := l.topics[topic]
	return t == nil || time.Since(t.renewed) > askPause
}

// learn takes down what a topic says. If that is not what it said before, what it
// has refused is forgotten.
func (l *limits) learn(topic string, config map[string]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.topic(topic)
	if maps.Equal(t.said, config) {
		return
	}
	t.said, t.takes = config, limitsOf(config)
	clear(t.refused)
	l.raise(config)
}

// refuse remembers that a broker has refused a record, so that whoever writes it
// again is to blame. It is false if that was known already: then nobody knows
// who writes it.
func (l *limits) refuse(e *kafka.RefusedError) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, h := l.topic(e.Topic), l.hash(e.Key, e.Value)
	if t.refused[h] != nil || len(t.refused) >= maxRefused {
		return false
	}
	_, cure := classify(e.Err)
	t.refused[h] = fmt.Errorf("%w: %s", e, cure)
	if n := topology.BatchBytes(e.Key, e.Value, nil); errors.Is(e, sarama.ErrMessageSizeTooLarge) && (t.takes.Bytes == 0 || n <= t.takes.Bytes) {
		t.takes.Bytes = n - 1 // the broker takes less than it says, if it says something
	}
	return true
}

func (l *limits) hash(key, value []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	for _, part := range [][]byte{key, value} {
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
func (p *Processor) askLimits(ctx context.Context, topics []string) error {
	if len(topics) == 0 {
		return nil
	}
	all, err := p.broker().Settings(ctx, topics, limitSettings...)
	if err != nil {
		return fmt.Errorf("limits of topics: %w", err)
	}
	for _, s := range all {
		if s.Err != nil {
			p.config.Logger.Debug("limits of a topic are not known", "topic", s.Topic, "error", s.Err)
			continue
		}
		p.limits.learn(s.Topic, s.Values)
	}
	return nil
}

// renew asks for the limits of a topic again, before they refuse something.
func (t *task) renew(topic string) error {
	t.renewed = append(t.renewed, topic)
	now := time.Now()
	if err := t.processor.askLimits(t.ctx, []string{topic}); err != nil {
		return err
	}
	t.processor.limits.mu.Lock()
	defer t.processor.limits.mu.Unlock()
	t.processor.limits.topic(topic).renewed = now
	return nil
}

// outdated tells whether renew is to be called. It is once for each call of the
// core: one that takes long would be made again and again.
func (t *task) outdated(topic string) bool {
	return !slices.Contains(t.renewed, topic) && t.processor.limits.outdated(topic)
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
	return slices.DeleteFunc(slices.Compact(topics), func(topic string) bool { return !p.broker().Know(topic) })
}

// maxMessageBytes returns a topic's setting of that name, 0 if it is not known.
func (p *Processor) maxMessageBytes(topic string) int { return p.limits.of(topic).Bytes }

// refused takes up that a broker has refused a record: what the topics take is
// asked for anew, and the record is remembered. It tells whether it is new, so
// that it helps to process the record again: then its policy decides.
func (p *Processor) refused(ctx context.Context, err error) bool {
	e, ok := errors.AsType[*kafka.RefusedError](err)
	if !ok {
		return false
	}
	if err := p.askLimits(ctx, []string{e.Topic}); err != nil {
		p.config.Logger.Debug("asking for the limits of a topic", "error", err)
	}
	return p.limits.refuse(e)
}
