package processor

import (
	"context"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// A committed is what a group has committed of a partition.
type committed struct {
	topic     string
	partition int32
	offset    int64 // -1 if nothing is
	epoch     int32
	marks     marks // of the partition's leader
}

// committedOffsets returns what a group has committed of partitions, by topic. If
// only what is stable is asked for, and a transaction is open, the error is
// sarama.ErrUnstableOffsetCommit.
func committedOffsets(ctx context.Context, client sarama.Client, group string, topics map[string][]int32, stable bool) (all []committed, err error) {
	read, err := kafka.Group{Client: client, Name: group}.Offsets(ctx, topics, stable)
	for _, c := range read {
		all = append(all, committed{c.Topic, c.Partition, c.Offset, c.Epoch, parseMetadata(c.Metadata)})
	}
	return all, err
}

// inputPartitions returns the partitions of a group's inputs, by topic.
func inputPartitions(ctx context.Context, client sarama.Client, g *topology.Group) (map[string][]int32, error) {
	topics := map[string][]int32{}
	for _, topic := range g.Inputs {
		partitions, err := kafka.Topics{Client: client}.Partitions(ctx, topic)
		if err != nil {
			return nil, err
		}
		topics[topic] = partitions
	}
	return topics, nil
}
