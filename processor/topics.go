package processor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// topics are what is known of the topology's topics once they are prepared.
type topics struct {
	partitions map[string]int32         // of every topic
	retention  map[string]time.Duration // for which changelogs keep tombstones
}

// prepareTopics checks the topics of the topology, all at once, and creates those
// that are tidemark's: repartition topics and changelogs. It does so once, before
// any task: goka would have each of its processors do it, and all but the first
// would fail.
func (p *Processor) prepareTopics(ctx context.Context) (ready topics, err error) {
	if err := p.broker().Refresh(ctx); err != nil {
		return ready, fmt.Errorf("metadata: %w", explain(err))
	}
	known, err := p.knownTopics(ctx)
	if err != nil {
		return ready, err
	}
	partitions, err := p.topology.Partitions(known)
	if err != nil {
		return ready, &startError{err}
	}
	if err := p.askLimits(ctx, p.allTopics()); err != nil {
		return ready, err
	}
	ready = topics{partitions: partitions, retention: map[string]time.Duration{}}
	wrong := p.strangeTopics()
	for _, r := range p.topology.Repartitions() {
		wrong = append(wrong, p.ensureRepartition(ctx, r.Topic, partitions[r.Topic]))
	}
	for _, g := range p.topology.Groups() {
		for _, s := range g.Stores {
			retention, err := p.ensureChangelog(ctx, s.Changelog, partitions[s.Changelog])
			wrong = append(wrong, err)
			ready.retention[s.Changelog] = retention
		}
	}
	if p.topology.DeadLetters(p.config.Policies) {
		wrong = append(wrong, p.ensureTopic(ctx, p.deadLetters(), -1, nil))
	}
	for _, g := range p.topology.Globals() {
		config, err := p.topicConfig(ctx, g.Topic, "cleanup.policy", "delete.retention.ms")
		wrong = append(wrong, err)
		ready.retention[g.Topic] = math.MaxInt64 // a tombstone goes with what was before it
		if strings.Contains(config["cleanup.policy"], "compact") {
			ready.retention[g.Topic] = tombstones(config)
		}
	}
	return ready, errors.Join(append(wrong, p.askLimits(ctx, p.allTopics()))...) // of those that were created, too
}

// knownTopics returns the partitions of the topology's topics that exist.
func (p *Processor) knownTopics(ctx context.Context) (map[string]int32, error) {
	var foreign, ours []string
	for _, r := range p.topology.Repartitions() {
		ours = append(ours, r.Topic)
	}
	for _, g := range p.topology.Groups() {
		foreign = append(append(foreign, g.Inputs...), g.Outputs...)
		for _, s := range g.Stores {
			ours = append(ours, s.Changelog)
		}
	}
	for _, g := range p.topology.Globals() {
		foreign = append(foreign, g.Topic)
	}
	names, err := p.client.Topics()
	if err != nil {
		return nil, err
	}
	known, asked := map[string]int32{}, map[string]bool{}
	var wrong []error
	for _, topic := range slices.Concat(foreign, ours) {
		// Partitions looks for a missing one four times, which takes a while.
		if asked[topic] || slices.Contains(ours, topic) && !slices.Contains(names, topic) {
			continue
		}
		asked[topic] = true
		partitions, err := p.broker().Partitions(ctx, topic)
		switch {
		case err == nil:
			known[topic] = int32(len(partitions))
		case !errors.Is(err, sarama.ErrUnknownTopicOrPartition):
			wrong = append(wrong, err)
		}
	}
	return known, errors.Join(wrong...)
}

// broker asks about topics, and creates them.
func (p *Processor) broker() kafka.Topics { return kafka.Topics{Client: p.client} }

// ensureRepartition creates a topic for records to go through, if it does not
// exist: they stay until they are committed, see purge.
func (p *Processor) ensureRepartition(ctx context.Context, topic string, partitions int32) error {
	there := p.broker().Know(topic)
	settings := map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "message.timestamp.type": "CreateTime"}
	if p.config.topicSettings(topic, nil)["segment.bytes"] == "" {
		settings["segment.bytes"] = "52428800" // what is purged goes with its segment
	}
	if err := p.ensureTopic(ctx, topic, partitions, settings); err != nil {
		return err
	}
	if there {
		if err := p.checkOwned(ctx, topic); err != nil {
			return err
		}
	}
	config, err := p.topicConfig(ctx, topic, "cleanup.policy", "retention.ms")
	if err != nil {
		return err
	}
	if policy := config["cleanup.policy"]; policy != "delete" {
		return &startError{fmt.Errorf("repartition topic %q has cleanup.policy=%s and would lose records: set it to delete", topic, policy)}
	}
	if ms := config["retention.ms"]; ms != "-1" {
		p.config.Logger.Warn("records of a repartition topic that wait for longer than its retention are lost: set retention.ms to -1", "topic", topic, "retention.ms", ms)
	}
	return nil
}

// ensureChangelog creates a changelog if it does not exist, refuses one that
// would lose rows, and returns for how long it keeps tombstones.
func (p *Processor) ensureChangelog(ctx context.Context, topic string, partitions int32) (retention time.Duration, err error) {
	err = p.ensureTopic(ctx, topic, partitions, map[string]string{
		"cleanup.policy": "compact", "message.timestamp.type": "CreateTime", // rows keep the times of records
	})
	if err != nil {
		return 0, err
	}
	config, err := p.topicConfig(ctx, topic, "cleanup.policy", "delete.retention.ms")
	if err != nil {
		return 0, err
	}
	if policy := config["cleanup.policy"]; policy != "compact" {
		return 0, &startError{fmt.Errorf("changelog topic %q has cleanup.policy=%s and would lose rows: set it to compact", topic, policy)}
	}
	return tombstones(config), nil
}

// tombstones is for how long a topic of that configuration keeps them.
func tombstones(config map[string]string) time.Duration {
	if ms, err := strconv.ParseInt(config["delete.retention.ms"], 10, 64); err == nil {
		return time.Duration(ms) * time.Millisecond
	}
	return 24 * time.Hour
}

// topicConfig returns settings of a topic.
func (p *Processor) topicConfig(ctx context.Context, topic string, names ...string) (map[string]string, error) {
	all, err := p.broker().Settings(ctx, []string{topic}, names...)
	if err == nil {
		err = all[0].Err
	}
	if err != nil {
		return nil, fmt.Errorf("configuration of topic %q: %w", topic, err)
	}
	return all[0].Values, nil
}

// ensureTopic creates a topic unless it exists, and waits until it is known. One
// that exists has the partitions that are wanted, or was made a moment ago.
func (p *Processor) ensureTopic(ctx context.Context, name string, partitions int32, config map[string]string) error {
	if p.broker().Know(name) {
		return nil
	}
	config = p.limits.settings(name == p.deadLetters(), p.config.topicSettings(name, config))
	err := p.broker().Create(ctx, kafka.NewTopic{
		Name: name, Partitions: partitions, Replication: cmp.Or(p.config.Replication, -1), Settings: config,
	})
	switch {
	case errors.Is(err, sarama.ErrInvalidReplicationFactor):
		return &startError{fmt.Errorf("creating topic %q: %w: is Replication, or default.replication.factor of the brokers, larger than the number of brokers that are up?", name, sentence{err})}
	case errors.Is(err, sarama.ErrInvalidConfig):
		return &startError{fmt.Errorf("creating topic %q: %w: does the broker know all of these settings%s?", name, sentence{err}, how(partitions, config))}
	case errors.Is(err, sarama.ErrTopicAuthorizationFailed), errors.Is(err, sarama.ErrClusterAuthorizationFailed):
		return &startError{fmt.Errorf("creating topic %q: %w: may this user create topics? Else create it%s", name, sentence{err}, how(partitions, config))}
	case err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists): // another instance may be as quick
		return fmt.Errorf("creating topic %q: %w", name, err)
	}
	if err == nil {
		p.config.Logger.Info("topic created", "topic", name, "partitions", partitions)
	}
	for began := time.Now(); ; {
		err := p.serves(ctx, name)
		if err == nil {
			return nil
		}
		if time.Since(began) > p.config.StartTimeout || sleep(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("topic %q was created, but does not answer: %w: is a broker down?", name, sentence{err})
		}
	}
}

// how says how to create a topic, for people.
func how(partitions int32, config map[string]string) string {
	var with []string
	if partitions > 0 {
		with = append(with, fmt.Sprintf("%d partitions", partitions))
	}
	for _, name := range slices.Sorted(maps.Keys(config)) {
		with = append(with, name+"="+config[name])
	}
	if len(with) == 0 {
		return ""
	}
	return ", with " + strings.Join(with, ", ")
}

// serves tells whether every partition of a topic answers: one that was made a
// moment ago does not.
func (p *Processor) serves(ctx context.Context, topic string) error {
	if err := p.broker().Refresh(ctx, topic); err != nil {
		return err
	}
	_, err := p.broker().Ends(ctx, topic)
	return err
}

// incarnation is the id of a topic: it changes when the topic is made anew. The
// answer names the Kafka cluster too, which is noted for the sinks.
func (p *Processor) incarnation(ctx context.Context, topic string) (string, error) {
	id, cluster, err := p.broker().ID(ctx, topic)
	if cluster != "" {
		p.cluster.Store(&cluster)
	}
	return id, err
}

// partitionOf returns where a record with this key belongs. Without a key it is
// partition 0 to n-1 by turns.
func (m *member) partitionOf(topic string, key []byte) (int32, error) {
	partitions, err := m.processor.client.Partitions(topic)
	if err != nil {
		if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			return 0, &startError{fmt.Errorf("output topic %q does not exist: create it, with as many partitions as instances may share", topic)}
		}
		return 0, fmt.Errorf("output topic %q: %w", topic, err)
	}
	n := int32(len(partitions))
	if key == nil {
		return int32(m.turn.Add(1)) & 0x7fffffff % n, nil
	}
	return topology.Partition(key, n), nil
}
