package processor

import (
	"context"
	"fmt"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// ask asks the coordinator of the member's group, see askCoordinator.
func (m *member) ask(ctx context.Context, request func(*sarama.Broker) (sarama.KError, error)) error {
	return askCoordinator(ctx, m.client, m.group.Name, request)
}

// askCoordinator asks a group's coordinator something that may be asked twice: once
// more where it is now, if it has moved or is lost. The client remembers the one
// that it knew for ever.
func askCoordinator(ctx context.Context, client sarama.Client, group string, request func(*sarama.Broker) (sarama.KError, error)) error {
	for again := true; ; again = false {
		code, err := kafka.Call(ctx, func() (sarama.KError, error) {
			b, err := client.Coordinator(group)
			if err != nil {
				return 0, err
			}
			code, err := request(b)
			if err != nil {
				_ = b.Close() // the next one to ask opens it again
				err = fmt.Errorf("%w (coordinator %s)", err, b.Addr())
			}
			return code, err
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && code == sarama.ErrNoError:
			return nil
		case err == nil && code != sarama.ErrNotCoordinatorForConsumer:
			return code
		case err == nil:
			err = code
		}
		if !again {
			return err
		}
		if _, err := kafka.Call(ctx, func() (any, error) { return nil, client.RefreshCoordinator(group) }); err != nil {
			return err
		}
	}
}

// A committed is what a group has committed of a partition.
type committed struct {
	topic     string
	partition int32
	offset    int64 // -1 if nothing is
	epoch     int32 // of the partition's leader
	marks
}

// committedOffsets returns what a group has committed of partitions, by topic. If
// only what is stable is asked for, and a transaction is open, the error is
// sarama.ErrUnstableOffsetCommit.
func committedOffsets(ctx context.Context, client sarama.Client, group string, topics map[string][]int32, stable bool) (all []committed, err error) {
	req := &sarama.OffsetFetchRequest{Version: 7, ConsumerGroup: group, RequireStable: stable}
	for topic, partitions := range topics {
		for _, p := range partitions {
			req.AddPartition(topic, p)
		}
	}
	var resp *sarama.OffsetFetchResponse
	err = askCoordinator(ctx, client, group, func(b *sarama.Broker) (sarama.KError, error) {
		r, err := b.FetchOffset(req) // its own error: the call may be given up, and end later
		if err != nil {
			return 0, err
		}
		resp = r
		return r.Err, nil
	})
	if err != nil {
		return nil, fmt.Errorf("offsets of group %q: %w", group, err)
	}
	for topic, partitions := range topics {
		for _, p := range partitions {
			block := resp.GetBlock(topic, p)
			switch {
			case block == nil:
				err = sarama.ErrIncompleteResponse
			case block.Err != sarama.ErrNoError:
				err = block.Err
			}
			if err != nil {
				return nil, fmt.Errorf("offset of group %q of %s/%d: %w", group, topic, p, err)
			}
			all = append(all, committed{topic, p, block.Offset, block.LeaderEpoch, parseMetadata(block.Metadata)})
		}
	}
	return all, nil
}

// inputPartitions returns the partitions of a group's inputs, by topic.
func inputPartitions(ctx context.Context, client sarama.Client, g *topology.Group) (map[string][]int32, error) {
	topics := map[string][]int32{}
	for _, topic := range g.Inputs {
		partitions, err := kafka.Call(ctx, func() ([]int32, error) { return client.Partitions(topic) })
		if err != nil {
			return nil, fmt.Errorf("topic %q: %w", topic, err)
		}
		topics[topic] = partitions
	}
	return topics, nil
}
