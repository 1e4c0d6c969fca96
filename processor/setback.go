package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
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
		n, err := setBackGroup(ctx, client.Sarama, g, to)
		if changed += n; err != nil {
			return changed, fmt.Errorf("group %q: %w", g.Name, err)
		}
	}
	return changed, nil
}

// setBackGroup commits what is committed of a group, with other clocks.
func setBackGroup(ctx context.Context, client sarama.Client, g *topology.Group, to time.Time) (changed int, err error) {
	inputs, err := inputPartitions(ctx, client, g)
	if err != nil {
		return 0, err
	}
	all, err := committedOffsets(ctx, client, g.Name, inputs, true)
	if err != nil {
		return 0, inUse(err)
	}
	var back []kafka.Committed
	for _, c := range all {
		clocks, err := topology.SetBack(c.marks.clocks, to)
		if err != nil {
			return 0, fmt.Errorf("offset of %s/%d: %w", c.topic, c.partition, err)
		}
		if clocks == c.marks.clocks {
			continue
		}
		c.marks.clocks = clocks
		back = append(back, kafka.Committed{Topic: c.topic, Partition: c.partition, Offset: c.offset, Epoch: c.epoch, Metadata: *c.marks.metadata()})
	}
	if len(back) == 0 {
		return 0, nil
	}
	if err := (kafka.Group{Client: client, Name: g.Name}).Commit(ctx, back); err != nil {
		return 0, inUse(err)
	}
	return len(back), nil
}

// inUse names the usual cause of what a group refuses, or what helps.
func inUse(err error) error {
	for _, code := range []error{sarama.ErrUnstableOffsetCommit, sarama.ErrUnknownMemberId, sarama.ErrIllegalGeneration, sarama.ErrRebalanceInProgress} {
		if errors.Is(err, code) {
			return fmt.Errorf("%w: does an instance still run, or has one been killed less than a session timeout ago?", err)
		}
	}
	return cured(err)
}
