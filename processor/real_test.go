package processor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A real is a Kafka of the environment, in a cluster's place. What a test leaves
// there has a name that begins with the prefix, and is deleted at its end.
type real struct {
	brokers []string
	prefix  string
}

// realCluster is the Kafka of the environment, without a Redis.
func realCluster(t testing.TB) *cluster {
	t.Helper()
	brokers := os.Getenv("TIDEMARK_BROKERS")
	if brokers == "" {
		t.Skip("TIDEMARK_BROKERS is not set: host:port of a real Kafka")
	}
	c := &cluster{t: t, real: &real{brokers: strings.Split(brokers, ","), prefix: fmt.Sprintf("test-%d-", time.Now().UnixNano())}}
	c.client = c.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	admin := c.client // a test may replace it
	t.Cleanup(func() { c.real.clear(t, admin) })
	return c
}

// clear deletes the topics and the groups of the prefix.
func (r *real) clear(t testing.TB, client *kgo.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	all, errAll := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client)
	list, errList := kmsg.NewPtrListGroupsRequest().RequestWith(ctx, client)
	if err := errors.Join(errAll, errList); err != nil {
		t.Fatal(err)
	}
	topics, groups := kmsg.NewPtrDeleteTopicsRequest(), kmsg.NewPtrDeleteGroupsRequest()
	for _, topic := range all.Topics {
		if strings.HasPrefix(*topic.Topic, r.prefix) {
			topics.TopicNames = append(topics.TopicNames, *topic.Topic)
			topics.Topics = append(topics.Topics, kmsg.DeleteTopicsRequestTopic{Topic: topic.Topic})
		}
	}
	for _, group := range list.Groups {
		if strings.HasPrefix(group.Group, r.prefix) {
			groups.Groups = append(groups.Groups, group.Group)
		}
	}
	_, errTopics := topics.RequestWith(ctx, client)
	_, errGroups := groups.RequestWith(ctx, client)
	if err := errors.Join(errTopics, errGroups); err != nil {
		t.Error(err)
	}
}

// prefix is what names of topics, tables and applications begin with.
func (c *cluster) prefix() string {
	if c.real == nil {
		return ""
	}
	return c.real.prefix
}

func (c *cluster) ListenAddrs() []string {
	if c.real == nil {
		return c.Cluster.ListenAddrs()
	}
	return c.real.brokers
}

func (c *cluster) CreateTopic(topic string, partitions int32, config map[string]string) error {
	if c.real == nil {
		return c.Cluster.CreateTopic(topic, partitions, config)
	}
	create := kmsg.NewCreateTopicsRequestTopic()
	create.Topic, create.NumPartitions, create.ReplicationFactor = topic, partitions, -1
	for name, value := range config {
		create.Configs = append(create.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: name, Value: &value})
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = []kmsg.CreateTopicsRequestTopic{create}
	resp, err := req.RequestWith(c.t.Context(), c.client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}

// PartitionInfos has the bounds of partitions only.
func (c *cluster) PartitionInfos(topic string) (infos []*kfake.PartitionInfo) {
	if c.real == nil {
		return c.Cluster.PartitionInfos(topic)
	}
	c.t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
	resp, err := req.RequestWith(c.t.Context(), c.client)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, p := range resp.Topics[0].Partitions {
		infos = append(infos, &kfake.PartitionInfo{
			Partition: p.Partition, LogStartOffset: c.offset(topic, p.Partition, -2), HighWatermark: c.offset(topic, p.Partition, -1),
		})
	}
	return infos
}

func (c *cluster) offset(topic string, partition int32, at int64) int64 {
	c.t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{
		{Partition: partition, Timestamp: at, CurrentLeaderEpoch: -1, MaxNumOffsets: 1},
	}}}
	resp, err := req.RequestWith(c.t.Context(), c.client)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.Topics[0].Partitions[0].Offset
}

// GroupInfo has what the group has committed only.
func (c *cluster) GroupInfo(group string) *kfake.GroupInfo {
	if c.real == nil {
		return c.Cluster.GroupInfo(group)
	}
	c.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	req.Groups = []kmsg.OffsetFetchRequestGroup{{Group: group, MemberEpoch: -1}}
	resp, err := req.RequestWith(c.t.Context(), c.client)
	if errors.Is(err, kerr.CoordinatorNotAvailable) {
		return nil // there has never been a group
	}
	if err != nil {
		c.t.Fatal(err)
	}
	info := &kfake.GroupInfo{Commits: map[string]map[int32]kfake.GroupCommit{}}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			commits := map[int32]kfake.GroupCommit{}
			for _, p := range t.Partitions {
				commits[p.Partition] = kfake.GroupCommit{Offset: p.Offset}
			}
			info.Commits[t.Topic] = commits
		}
	}
	return info
}
