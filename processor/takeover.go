package processor

import (
	"fmt"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/txn"
)

// A takeover is done before a task of its partition restores.
type takeover struct {
	done   chan struct{}
	legacy legacy
	err    error
}

// A legacy is what the last owner of a partition has left.
type legacy struct {
	begun  []string // topics of which something is committed
	own    bool     // the partition is marked as ours already
	clocks string   // of the task
}

// The metadata of a partition's committed offsets names the transactional id of
// the partition's owner, from before the owner's first record of it until the
// owner gives it up in good order. A new owner that finds a name knows that the
// old one died, or is a zombie, and ends its transaction instead of waiting for
// it to time out. In that of the first input the task's clocks follow.
const (
	ownerMark  = "tidemark-owner:"
	clocksMark = "tidemark-clocks:"
)

// metadata is what is committed with a task's offsets, unless it gives them up.
func metadata(owner, clocks string) *string {
	var parts []string
	if owner != "" {
		parts = append(parts, ownerMark+owner)
	}
	if clocks != "" {
		parts = append(parts, clocksMark+clocks)
	}
	text := strings.Join(parts, " ")
	return &text
}

func parseMetadata(text string) (owner, clocks string) {
	for part := range strings.FieldsSeq(text) {
		if id, ok := strings.CutPrefix(part, ownerMark); ok {
			owner = id
		}
		if c, ok := strings.CutPrefix(part, clocksMark); ok {
			clocks = c
		}
	}
	return owner, clocks
}

// takeOver ends the transaction that the last owner of partitions, by topic, left
// open, and returns what it has committed. It runs beside the join, which may
// itself be waiting for that transaction's offsets.
func (s *session) takeOver(topics map[string][]int32) (map[int32]legacy, error) {
	fenced := map[string]bool{"": true, s.transactionalID(): true}
	_, err := s.committedOffsets(s.group.Name, topics, false, func(_ string, p int32, owner, _ string) error {
		if fenced[owner] {
			return nil
		}
		fenced[owner] = true
		s.log.Info("ending the transaction of a partition's last owner", "partition", p, "owner", owner)
		_, err := call(s.ctx, func() (any, error) { return nil, txn.Fence(s.client, owner, transactionTimeout) })
		return err
	})
	if err != nil {
		return nil, err
	}
	legacies := map[int32]legacy{}
	for {
		stable, err := s.committedOffsets(s.group.Name, topics, true, func(topic string, p int32, owner, clocks string) error {
			l := legacies[p]
			l.begun = append(l.begun, topic)
			l.own = l.own || owner != "" && owner == s.transactionalID()
			if clocks != "" {
				l.clocks = clocks
			}
			legacies[p] = l
			return nil
		})
		if err != nil || stable {
			return legacies, err
		}
		if err := sleep(s.ctx, 20*time.Millisecond); err != nil { // the coordinator is about to take the decision down
			return nil, err
		}
	}
}

// committedOffsets hands over what a group has committed of partitions. If only
// what is stable is asked for, it may have to be asked again.
func (s *session) committedOffsets(group string, topics map[string][]int32, stable bool, each func(topic string, p int32, owner, clocks string) error) (complete bool, err error) {
	req := &sarama.OffsetFetchRequest{Version: 7, ConsumerGroup: group, RequireStable: stable}
	for topic, partitions := range topics {
		for _, p := range partitions {
			req.AddPartition(topic, p)
		}
	}
	var resp *sarama.OffsetFetchResponse
	err = s.askOf(s.ctx, group, func(b *sarama.Broker) (sarama.KError, error) {
		if resp, err = b.FetchOffset(req); err != nil {
			return 0, err
		}
		return resp.Err, nil
	})
	if err != nil {
		return false, fmt.Errorf("offsets of group %q: %w", group, err)
	}
	for topic, partitions := range topics {
		for _, p := range partitions {
			block := resp.GetBlock(topic, p)
			switch {
			case block == nil:
				err = sarama.ErrIncompleteResponse
			case block.Err == sarama.ErrUnstableOffsetCommit:
				return false, nil
			case block.Err != sarama.ErrNoError:
				err = block.Err
			case block.Offset >= 0:
				owner, clocks := parseMetadata(block.Metadata)
				err = each(topic, p, owner, clocks)
			}
			if err != nil {
				return false, fmt.Errorf("offset of group %q of %s/%d: %w", group, topic, p, err)
			}
		}
	}
	return true, nil
}
