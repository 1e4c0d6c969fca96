package processor

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/topology"
)

// prepareTopics checks the topics that the group reads and writes, all at once,
// and creates its changelog. It does so once, before any task: goka would have
// each of its processors do it, and all but the first would fail.
func (m *member) prepareTopics() error {
	if err := m.client.RefreshMetadata(); err != nil {
		return fmt.Errorf("metadata: %w", explain(err))
	}
	var wrong []error
	inputs, err := m.client.Partitions(m.group.Input)
	if err != nil {
		wrong = append(wrong, missing("input", m.group.Input, err))
	}
	m.partitions = int32(len(inputs))
	for _, name := range m.group.Outputs {
		if _, err := m.client.Partitions(name); err != nil {
			wrong = append(wrong, missing("output", name, err))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	admin, err := sarama.NewClusterAdminFromClient(m.client) // closing it would close the client
	if err != nil {
		return err
	}
	if err := m.ensureTopic(admin, m.group.Table, m.partitions, map[string]string{"cleanup.policy": "compact"}); err != nil {
		return err
	}
	return m.checkChangelog(admin)
}

func missing(role, topic string, err error) error {
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		return &startError{fmt.Errorf("%s topic %q does not exist: create it, with as many partitions as instances may share", role, topic)}
	}
	return fmt.Errorf("%s topic %q: %w", role, topic, err)
}

// knows tells whether a topic is in the client's metadata. client.Partitions
// would look for a missing one four times, and take most of a second for it.
func (p *Processor) knows(topic string) bool {
	topics, err := p.client.Topics()
	return err == nil && slices.Contains(topics, topic)
}

// ensureTopic creates a topic unless it exists, and waits until it is known.
func (p *Processor) ensureTopic(admin sarama.ClusterAdmin, name string, partitions int32, config map[string]string) error {
	if p.knows(name) {
		return nil
	}
	detail := &sarama.TopicDetail{
		NumPartitions: partitions, ReplicationFactor: int16(cmp.Or(p.config.Replication, -1)),
		ConfigEntries: map[string]*string{},
	}
	for k, v := range config {
		detail.ConfigEntries[k] = &v
	}
	err := admin.CreateTopic(name, detail, false)
	switch {
	case errors.Is(err, sarama.ErrInvalidReplicationFactor):
		return &startError{fmt.Errorf("creating topic %q: %w: is Replication larger than the number of brokers?", name, err)}
	case errors.Is(err, sarama.ErrTopicAuthorizationFailed), errors.Is(err, sarama.ErrClusterAuthorizationFailed):
		return &startError{fmt.Errorf("creating topic %q: %w: may this user create topics? Else create it, with %d partitions and cleanup.policy=compact", name, err, partitions)}
	case err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists): // another instance may be as quick
		return fmt.Errorf("creating topic %q: %w", name, err)
	}
	if err == nil {
		p.config.Logger.Info("topic created", "topic", name, "partitions", partitions)
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := p.serves(name)
		if err == nil {
			return nil
		}
		if time.Since(began) > p.config.StartTimeout {
			return fmt.Errorf("topic %q was created, but does not answer: %w: is a broker down?", name, err)
		}
	}
}

// serves tells whether every partition of a topic answers: one that was made a
// moment ago does not.
func (p *Processor) serves(topic string) error {
	if err := p.client.RefreshMetadata(topic); err != nil {
		return err
	}
	partitions, err := p.client.Partitions(topic)
	if err != nil {
		return err
	}
	for _, n := range partitions {
		if _, err := p.client.GetOffset(topic, n, sarama.OffsetNewest); err != nil {
			return fmt.Errorf("partition %d: %w", n, err)
		}
	}
	return nil
}

// checkChangelog refuses a changelog that would lose rows, and learns for how
// long it keeps tombstones.
func (m *member) checkChangelog(admin sarama.ClusterAdmin) error {
	partitions, err := m.client.Partitions(m.group.Table)
	if err != nil {
		return missing("changelog", m.group.Table, err)
	}
	if n := int32(len(partitions)); n != m.partitions {
		return &startError{fmt.Errorf("changelog topic %q has %d partitions, but its input %q has %d: a table cannot be repartitioned, start it under another name",
			m.group.Table, n, m.group.Input, m.partitions)}
	}
	results, err := admin.DescribeConfigs([]*sarama.ConfigResource{{
		Type: sarama.TopicResource, Name: m.group.Table, ConfigNames: []string{"cleanup.policy", "delete.retention.ms"},
	}}, sarama.DescribeConfigsOptions{})
	switch {
	case err == nil && len(results) != 1:
		err = sarama.ErrIncompleteResponse
	case err == nil && results[0].ErrorCode != sarama.ErrNoError:
		err = results[0].ErrorCode
	}
	if err != nil {
		return fmt.Errorf("configuration of topic %q: %w", m.group.Table, err)
	}
	m.retention = 24 * time.Hour
	for _, e := range results[0].Configs {
		switch e.Name {
		case "cleanup.policy":
			if e.Value != "compact" {
				return &startError{fmt.Errorf("changelog topic %q has cleanup.policy=%s and would lose rows: set it to compact", m.group.Table, e.Value)}
			}
		case "delete.retention.ms":
			if ms, err := strconv.ParseInt(e.Value, 10, 64); err == nil {
				m.retention = time.Duration(ms) * time.Millisecond
			}
		}
	}
	return nil
}

// incarnation is the id of a topic: it changes when the topic is made anew.
func (p *Processor) incarnation(topic string) (string, error) {
	b, err := p.client.Controller()
	if err != nil {
		return "", err
	}
	r, err := b.GetMetadata(&sarama.MetadataRequest{Version: 10, Topics: []string{topic}})
	if err != nil {
		_ = b.Close()
		return "", fmt.Errorf("metadata of %q: %w", topic, err)
	}
	if len(r.Topics) != 1 || r.Topics[0].Err != sarama.ErrNoError {
		return "", fmt.Errorf("metadata of %q: unknown topic", topic)
	}
	return r.Topics[0].Uuid.String(), nil
}

// partitionOf returns where a record with this key belongs. Without a key it is
// partition 0 to n-1 by turns.
func (m *member) partitionOf(topic string, key []byte) (int32, error) {
	partitions, err := m.client.Partitions(topic)
	if err != nil {
		return 0, missing("output", topic, err)
	}
	n := int32(len(partitions))
	if key == nil {
		return int32(m.turn.Add(1)) & 0x7fffffff % n, nil
	}
	return topology.Partition(key, n), nil
}
