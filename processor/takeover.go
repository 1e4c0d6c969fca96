package processor

import (
	"fmt"
	"strings"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/txn"
)

// The metadata of a partition's committed offset names the transactional id of
// the partition's owner, from before the owner's first record of it until the
// owner gives it up in good order. A new owner that finds a name knows that the
// old one died, or is a zombie, and ends its transaction instead of waiting for
// it to time out.
const ownerMark = "tidemark-owner:"

func (s *session) ownerMetadata() *string {
	v := ownerMark + s.transactionalID()
	if s.config.Guarantee == AtLeastOnce {
		v = ""
	}
	return &v
}

// takeOver ends the transaction that the last owner of partitions left open. It
// runs beside the join, which may itself be waiting for that transaction's
// offsets. It returns which of the partitions are marked as our own.
func (s *session) takeOver(partitions []int32) (own map[int32]bool, err error) {
	req := &sarama.OffsetFetchRequest{Version: 6, ConsumerGroup: s.group.Name} // not only stable ones
	for _, p := range partitions {
		req.AddPartition(s.group.Input, p)
	}
	var resp *sarama.OffsetFetchResponse
	err = s.ask(func(b *sarama.Broker) (sarama.KError, error) {
		if resp, err = b.FetchOffset(req); err != nil {
			return 0, err
		}
		return resp.Err, nil
	})
	if err != nil {
		return nil, fmt.Errorf("owners of partitions %v: %w", partitions, err)
	}
	own = map[int32]bool{}
	fenced := map[string]bool{}
	for _, p := range partitions {
		block := resp.GetBlock(s.group.Input, p)
		if block == nil {
			return nil, fmt.Errorf("owner of partition %d: %w", p, sarama.ErrIncompleteResponse)
		}
		if block.Err != sarama.ErrNoError {
			return nil, fmt.Errorf("owner of partition %d: %w", p, block.Err)
		}
		id, marked := strings.CutPrefix(block.Metadata, ownerMark)
		switch {
		case !marked:
		case id == s.transactionalID():
			own[p] = block.Offset >= 0
		case !fenced[id]:
			fenced[id] = true
			s.log.Info("ending the transaction of a partition's last owner", "partition", p, "owner", id)
			if err := txn.Fence(s.client, id, transactionTimeout); err != nil {
				return nil, err
			}
		}
	}
	return own, nil
}
