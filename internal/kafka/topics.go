package kafka

import (
	"context"
	"fmt"
	"slices"

	"github.com/IBM/sarama"
)

// Topics are those of a Kafka cluster.
type Topics struct{ Client sarama.Client }

// Know tells whether a topic is in the client's metadata. For a missing one Partitions
// would retry for most of a second.
func (t Topics) Know(topic string) bool {
	topics, err := t.Client.Topics()
	return err == nil && slices.Contains(topics, topic)
}

// Refresh asks for the metadata of topics, of all if none is named.
func (t Topics) Refresh(ctx context.Context, topics ...string) error {
	_, err := Call(ctx, func() (any, error) { return nil, t.Client.RefreshMetadata(topics...) })
	return err
}

// Partitions returns the partitions of a topic.
func (t Topics) Partitions(ctx context.Context, topic string) ([]int32, error) {
	partitions, err := Call(ctx, func() ([]int32, error) { return t.Client.Partitions(topic) })
	if err != nil {
		return nil, fmt.Errorf("topic %q: %w", topic, err)
	}
	return partitions, nil
}

// Ends returns the offsets after the last records of a topic, by partition. It asks
// the leader of each partition: of a topic that was created a moment ago, some do not
// answer yet.
func (t Topics) Ends(ctx context.Context, topic string) ([]int64, error) {
	partitions, err := t.Partitions(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends := make([]int64, len(partitions))
	for i, n := range partitions {
		ends[i], err = Call(ctx, func() (int64, error) { return t.Client.GetOffset(topic, n, sarama.OffsetNewest) })
		if err != nil {
			return nil, fmt.Errorf("end of %s/%d: %w", topic, n, err)
		}
	}
	return ends, nil
}

// A NewTopic is one to be created.
type NewTopic struct {
	Name        string
	Partitions  int32 // -1 for the brokers' default
	Replication int   // -1 for the brokers' default
	Settings    map[string]string
}

// Create creates a topic.
func (t Topics) Create(ctx context.Context, topic NewTopic) error {
	detail := &sarama.TopicDetail{
		NumPartitions: topic.Partitions, ReplicationFactor: int16(topic.Replication), ConfigEntries: map[string]*string{},
	}
	for name, value := range topic.Settings {
		detail.ConfigEntries[name] = &value
	}
	_, err := admin(ctx, t.Client, func(a sarama.ClusterAdmin) (any, error) { return nil, a.CreateTopic(topic.Name, detail, false) })
	return err
}

// A Settings is what some settings of a topic are, or why that is not known.
type Settings struct {
	Topic  string
	Values map[string]string
	Err    error
}

// Settings returns the named settings of topics.
func (t Topics) Settings(ctx context.Context, topics []string, names ...string) ([]Settings, error) {
	var resources []*sarama.ConfigResource
	for _, topic := range topics {
		resources = append(resources, &sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: names})
	}
	results, err := admin(ctx, t.Client, func(a sarama.ClusterAdmin) ([]*sarama.ConfigResourceResult, error) {
		return a.DescribeConfigs(resources, sarama.DescribeConfigsOptions{})
	})
	if err != nil {
		return nil, err
	}
	if len(results) != len(topics) {
		return nil, sarama.ErrIncompleteResponse
	}
	var all []Settings
	for _, r := range results {
		s := Settings{Topic: r.Name, Values: map[string]string{}, Err: answer(r.ErrorCode)}
		for _, e := range r.Configs {
			s.Values[e.Name] = e.Value
		}
		all = append(all, s)
	}
	return all, nil
}

// DeleteRecords deletes the records before an offset in each of some partitions.
func (t Topics) DeleteRecords(ctx context.Context, topic string, before map[int32]int64) error {
	_, err := admin(ctx, t.Client, func(a sarama.ClusterAdmin) (any, error) { return nil, a.DeleteRecords(topic, before) })
	return err
}

// ID returns the id of a topic, which is another one when the topic is made again,
// and that of the Kafka cluster, "" if the broker does not say.
func (t Topics) ID(ctx context.Context, topic string) (id, cluster string, err error) {
	r, err := Call(ctx, func() (*sarama.MetadataResponse, error) {
		b, err := t.Client.Controller()
		if err != nil {
			return nil, err
		}
		r, err := b.GetMetadata(&sarama.MetadataRequest{Version: 10, Topics: []string{topic}})
		if err != nil {
			_ = b.Close() // the next one to ask opens it again
		}
		return r, err
	})
	if err == nil && (len(r.Topics) != 1 || r.Topics[0].Err != sarama.ErrNoError) {
		err = sarama.ErrUnknownTopicOrPartition
	}
	if err != nil {
		return "", "", fmt.Errorf("metadata of %q: %w", topic, err)
	}
	if r.ClusterID != nil {
		cluster = *r.ClusterID
	}
	return r.Topics[0].Uuid.String(), cluster, nil
}

// admin calls one of sarama's administrators. Closing it would close the client.
func admin[T any](ctx context.Context, client sarama.Client, f func(sarama.ClusterAdmin) (T, error)) (T, error) {
	return Call(ctx, func() (T, error) {
		a, err := sarama.NewClusterAdminFromClient(client)
		if err != nil {
			var none T
			return none, err
		}
		return f(a)
	})
}
