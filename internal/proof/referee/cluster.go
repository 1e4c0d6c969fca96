// Package referee reads what a program has left in Kafka and in Redis, so that
// others can judge it. It has two types: a Cluster and a Target.
package referee

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// A Cluster is Kafka as a referee sees it: topics are made, filled, read to the
// end and dropped. It shares nothing with the code that is judged.
type Cluster struct {
	client sarama.Client
	admin  sarama.ClusterAdmin
}

// Open connects to Kafka.
func Open(brokers []string) (*Cluster, error) {
	client, err := sarama.NewClient(brokers, Config())
	if err != nil {
		return nil, fmt.Errorf("kafka at %s: %w: is it running?", strings.Join(brokers, ","), err)
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("kafka at %s: %w", strings.Join(brokers, ","), err), client.Close())
	}
	return &Cluster{client, admin}, nil
}

// Config returns sarama's settings for a referee. Keys go to partitions as Java's
// default partitioner sends them.
func Config() *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	cfg.ClientID = "referee"
	cfg.Consumer.IsolationLevel = sarama.ReadCommitted
	cfg.Producer.Partitioner = sarama.NewMurmur2Partitioner
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Idempotent = true
	cfg.Net.MaxOpenRequests = 1
	cfg.Net.DialTimeout, cfg.Net.ReadTimeout, cfg.Net.WriteTimeout = 3*time.Second, 10*time.Second, 10*time.Second // a broker may hang
	return cfg
}

// Close ends the connection.
func (c *Cluster) Close() error { return c.admin.Close() }

// Create makes a topic whose records stay, with as many replicas as the brokers
// choose and further settings, name and value by turns.
func (c *Cluster) Create(topic string, partitions int32, settings ...string) error {
	forever := "-1"
	config := map[string]*string{"retention.ms": &forever}
	for i := 0; i < len(settings); i += 2 {
		config[settings[i]] = &settings[i+1]
	}
	err := c.admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: -1, ConfigEntries: config}, false)
	if err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	return nil
}

// Move gives every partition of the topics that begin with the prefix another
// leader: the next of its replicas.
func (c *Cluster) Move(prefix string) error {
	if err := c.client.RefreshMetadata(); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	topics, err := c.client.Topics()
	if err != nil {
		return err
	}
	moved := map[string][]int32{}
	for _, topic := range topics {
		if !strings.HasPrefix(topic, prefix) {
			continue
		}
		partitions, err := c.client.Partitions(topic)
		if err != nil {
			return err
		}
		assignment := make([][]int32, len(partitions))
		for _, p := range partitions {
			replicas, err := c.client.Replicas(topic, p)
			if err != nil {
				return err
			}
			assignment[p] = append(slices.Clone(replicas[1:]), replicas[0])
		}
		if err := c.admin.AlterPartitionReassignments(topic, assignment); err != nil {
			return fmt.Errorf("reassign %s: %w", topic, err)
		}
		moved[topic] = partitions
	}
	_, err = c.admin.ElectLeaders(sarama.PreferredElection, moved)
	return err
}

// Exists tells whether there is such a topic.
func (c *Cluster) Exists(topic string) (bool, error) {
	topics, err := c.admin.ListTopics()
	if err != nil {
		return false, fmt.Errorf("list topics: %w", err)
	}
	_, ok := topics[topic]
	return ok, nil
}

// Drop deletes every topic whose name starts with the prefix, and the consumer
// groups that have no members left.
func (c *Cluster) Drop(prefix string) error {
	topics, err := c.admin.ListTopics()
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	var wrong []error
	for topic := range topics {
		if strings.HasPrefix(topic, prefix) {
			if err := c.admin.DeleteTopic(topic); err != nil {
				wrong = append(wrong, fmt.Errorf("delete topic %s: %w", topic, err))
			}
		}
	}
	groups, err := c.admin.ListConsumerGroups()
	if err != nil {
		return errors.Join(append(wrong, fmt.Errorf("list groups: %w", err))...)
	}
	for group := range groups {
		if !strings.HasPrefix(group, prefix) {
			continue
		}
		// A static member that has just stopped keeps its group until the session
		// is over; the group then expires by itself.
		if err := c.admin.DeleteConsumerGroup(group); err != nil && !errors.Is(err, sarama.ErrNonEmptyGroup) && !errors.Is(err, sarama.ErrGroupIDNotFound) {
			wrong = append(wrong, fmt.Errorf("delete group %s: %w", group, err))
		}
	}
	return errors.Join(wrong...)
}

// Ends returns the high watermark of each partition of a topic.
func (c *Cluster) Ends(topic string) ([]int64, error) {
	partitions, err := c.client.Partitions(topic)
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	ends := make([]int64, len(partitions))
	for _, p := range partitions {
		if ends[p], err = c.client.GetOffset(topic, p, sarama.OffsetNewest); err != nil {
			return nil, fmt.Errorf("end of %s/%d: %w", topic, p, err)
		}
	}
	return ends, nil
}

// Release returns the version that the brokers say they are, "" if they don't.
func (c *Cluster) Release() string {
	const setting = "inter.broker.protocol.version"
	broker, err := c.client.Controller()
	if err != nil {
		return ""
	}
	results, err := c.admin.DescribeConfigs([]*sarama.ConfigResource{{
		Type: sarama.BrokerResource, Name: strconv.Itoa(int(broker.ID())), ConfigNames: []string{setting},
	}}, sarama.DescribeConfigsOptions{})
	if err != nil || len(results) == 0 || len(results[0].Configs) == 0 {
		return ""
	}
	return results[0].Configs[0].Value
}
