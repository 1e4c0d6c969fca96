package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// A Group is a consumer group, as its coordinator knows it.
type Group struct {
	Client sarama.Client
	Name   string
}

// groupPatience is how long a group's coordinator is looked for.
const groupPatience = 5 * time.Second

// A Committed is what a group has committed of a partition.
type Committed struct {
	Topic     string
	Partition int32
	Offset    int64 // -1 if nothing is
	Epoch     int32 // of the partition's leader
	Metadata  string
}

// Offsets returns what the group has committed of partitions, by topic. If only what
// is stable is asked for, and a transaction is open, the error is
// sarama.ErrUnstableOffsetCommit.
func (g Group) Offsets(ctx context.Context, topics map[string][]int32, stable bool) (all []Committed, err error) {
	req := &sarama.OffsetFetchRequest{Version: 7, ConsumerGroup: g.Name, RequireStable: stable}
	for topic, partitions := range topics {
		for _, p := range partitions {
			req.AddPartition(topic, p)
		}
	}
	resp, err := ask(ctx, ofGroup(g.Client, g.Name), groupPatience, func(b *sarama.Broker) (*sarama.OffsetFetchResponse, error) {
		r, err := b.FetchOffset(req)
		if err == nil {
			err = answer(r.Err)
		}
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("offsets of group %q: %w", g.Name, err)
	}
	for topic, partitions := range topics {
		for _, p := range partitions {
			block := resp.GetBlock(topic, p)
			if block == nil {
				err = sarama.ErrIncompleteResponse
			} else {
				err = answer(block.Err)
			}
			if err != nil {
				return nil, fmt.Errorf("offset of group %q of %s/%d: %w", g.Name, topic, p, err)
			}
			all = append(all, Committed{topic, p, block.Offset, block.LeaderEpoch, block.Metadata})
		}
	}
	return all, nil
}

// Commit commits offsets as nobody's: Kafka refuses that while the group has members.
func (g Group) Commit(ctx context.Context, offsets []Committed) error {
	req := &sarama.OffsetCommitRequest{Version: 7, ConsumerGroup: g.Name, ConsumerGroupGeneration: sarama.GroupGenerationUndefined}
	for _, c := range offsets {
		req.AddBlockWithLeaderEpoch(c.Topic, c.Partition, c.Offset, c.Epoch, 0, c.Metadata)
	}
	return g.commit(ctx, groupPatience, req)
}

func (g Group) commit(ctx context.Context, patience time.Duration, req *sarama.OffsetCommitRequest) error {
	_, err := ask(ctx, ofGroup(g.Client, g.Name), patience, func(b *sarama.Broker) (any, error) {
		r, err := b.CommitOffset(req)
		if err != nil {
			return nil, err
		}
		for topic, partitions := range r.Errors {
			for partition, code := range partitions {
				if err := answer(code); err != nil {
					return nil, fmt.Errorf("%s/%d: %w", topic, partition, err)
				}
			}
		}
		return nil, nil
	})
	return err
}

// Heartbeat asks whether somebody is a member of the group, in a generation that is
// not over. A rebalance that has begun does not end it.
func (g Group) Heartbeat(ctx context.Context, member *sarama.ConsumerGroupMetadata) error {
	_, err := ask(ctx, ofGroup(g.Client, g.Name), groupPatience, func(b *sarama.Broker) (any, error) {
		r, err := b.Heartbeat(&sarama.HeartbeatRequest{
			Version: 3, GroupId: g.Name, GenerationId: member.GenerationID, MemberId: member.MemberID, GroupInstanceId: member.GroupInstanceID,
		})
		if err == nil && r.Err != sarama.ErrRebalanceInProgress {
			err = answer(r.Err)
		}
		return nil, err
	})
	return err
}

// Leave ends the membership of a static member, if it is one.
func (g Group) Leave(ctx context.Context, instance string) error {
	_, err := ask(ctx, ofGroup(g.Client, g.Name), groupPatience, func(b *sarama.Broker) (any, error) {
		r, err := b.LeaveGroup(&sarama.LeaveGroupRequest{
			Version: 3, GroupId: g.Name, Members: []sarama.MemberIdentity{{GroupInstanceId: &instance}},
		})
		if err == nil && moved(r.Err) { // else there was no member, or no group
			err = r.Err
		}
		return nil, err
	})
	if err != nil {
		return fmt.Errorf("leaving group %s: %w", g.Name, err)
	}
	return nil
}

// Describe returns the group's state and members.
func (g Group) Describe(ctx context.Context) (*sarama.GroupDescription, error) {
	description, err := ask(ctx, ofGroup(g.Client, g.Name), groupPatience, func(b *sarama.Broker) (*sarama.GroupDescription, error) {
		r, err := b.DescribeGroups(&sarama.DescribeGroupsRequest{Groups: []string{g.Name}})
		switch {
		case err != nil:
			return nil, err
		case len(r.Groups) != 1:
			return nil, sarama.ErrIncompleteResponse
		}
		return r.Groups[0], answer(r.Groups[0].Err)
	})
	if err != nil {
		return nil, fmt.Errorf("describing group %s: %w", g.Name, err)
	}
	return description, nil
}
