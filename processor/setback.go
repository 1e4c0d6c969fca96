package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/topology"
)

// SetBackClocks sets the clocks of all partitions that are later than a time back to
// it, and returns of how many. Clocks follow the records that have been seen, so that
// one with a wrong time makes all later ones late; see Topic.MaxAhead. No instance of
// the application may run: Kafka refuses it while a group has members.
func (p *Processor) SetBackClocks(ctx context.Context, to time.Time) (changed int, err error) {
	client, err := p.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	for _, g := range p.topology.Groups() {
		n, err := setBackGroup(client, g, to)
		if changed += n; err != nil {
			return changed, fmt.Errorf("group %q: %w", g.Name, err)
		}
	}
	return changed, nil
}

// setBackGroup commits what is committed of a group, with other clocks.
func setBackGroup(client sarama.Client, g *topology.Group, to time.Time) (changed int, err error) {
	coordinator, err := client.Coordinator(g.Name)
	if err != nil {
		return 0, err
	}
	fetch := &sarama.OffsetFetchRequest{Version: 7, ConsumerGroup: g.Name, RequireStable: true}
	for _, topic := range g.Inputs {
		partitions, err := client.Partitions(topic)
		if err != nil {
			return 0, fmt.Errorf("topic %q: %w", topic, err)
		}
		for _, n := range partitions {
			fetch.AddPartition(topic, n)
		}
	}
	found, err := coordinator.FetchOffset(fetch)
	if err != nil {
		return 0, err
	}
	commit := &sarama.OffsetCommitRequest{Version: 7, ConsumerGroup: g.Name, ConsumerGroupGeneration: sarama.GroupGenerationUndefined}
	for topic, blocks := range found.Blocks {
		for n, block := range blocks {
			if block.Err != sarama.ErrNoError {
				return 0, fmt.Errorf("offset of %s/%d: %w", topic, n, block.Err)
			}
			m := parseMetadata(block.Metadata)
			back, err := topology.SetBack(m.clocks, to)
			if err != nil {
				return 0, fmt.Errorf("offset of %s/%d: %w", topic, n, err)
			}
			if back != m.clocks {
				m.clocks = back
				commit.AddBlockWithLeaderEpoch(topic, n, block.Offset, block.LeaderEpoch, 0, *m.metadata())
				changed++
			}
		}
	}
	if changed == 0 {
		return 0, nil
	}
	answer, err := coordinator.CommitOffset(commit)
	if err != nil {
		return 0, err
	}
	for _, errs := range answer.Errors {
		for _, err := range errs {
			if err != sarama.ErrNoError {
				return 0, fmt.Errorf("%w: does an instance still run, or has one been killed less than a session timeout ago?", err)
			}
		}
	}
	return changed, nil
}
