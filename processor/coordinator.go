package processor

import (
	"context"
	"fmt"

	"github.com/IBM/sarama"
)

// ask asks the group's coordinator something that may be asked twice: once more
// where it is now, if it has moved or is lost. The client remembers the one that
// it knew for ever.
func (m *member) ask(ctx context.Context, request func(*sarama.Broker) (sarama.KError, error)) error {
	return m.askOf(ctx, m.group.Name, request)
}

func (m *member) askOf(ctx context.Context, group string, request func(*sarama.Broker) (sarama.KError, error)) error {
	for again := true; ; again = false {
		code, err := call(ctx, func() (sarama.KError, error) {
			b, err := m.client.Coordinator(group)
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
		if _, err := call(ctx, func() (any, error) { return nil, m.client.RefreshCoordinator(group) }); err != nil {
			return err
		}
	}
}

// committedOffsets hands over what a group has committed of partitions. If only
// what is stable is asked for, it may have to be asked again.
func (s *session) committedOffsets(group string, topics map[string][]int32, stable bool, each func(topic string, p int32, m marks) error) (complete bool, err error) {
	req := &sarama.OffsetFetchRequest{Version: 7, ConsumerGroup: group, RequireStable: stable}
	for topic, partitions := range topics {
		for _, p := range partitions {
			req.AddPartition(topic, p)
		}
	}
	var resp *sarama.OffsetFetchResponse
	err = s.askOf(s.ctx, group, func(b *sarama.Broker) (sarama.KError, error) {
		r, err := b.FetchOffset(req) // its own error: the call may be given up, and end later
		if err != nil {
			return 0, err
		}
		resp = r
		return r.Err, nil
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
				err = each(topic, p, parseMetadata(block.Metadata))
			}
			if err != nil {
				return false, fmt.Errorf("offset of group %q of %s/%d: %w", group, topic, p, err)
			}
		}
	}
	return true, nil
}

// committedIn hands over what the member's group has committed, -1 where
// that is nothing, and the metadata of it.
func (m *member) committedIn(ctx context.Context, topic string, partitions []int32, each func(partition int32, offset int64, metadata string)) error {
	req := &sarama.OffsetFetchRequest{Version: 6, ConsumerGroup: m.group.Name}
	for _, p := range partitions {
		req.AddPartition(topic, p)
	}
	var resp *sarama.OffsetFetchResponse
	err := m.ask(ctx, func(b *sarama.Broker) (code sarama.KError, err error) {
		if resp, err = b.FetchOffset(req); err != nil {
			return 0, err
		}
		return resp.Err, nil
	})
	if err != nil {
		return err
	}
	for _, p := range partitions {
		block := resp.GetBlock(topic, p)
		switch {
		case block == nil:
			return sarama.ErrIncompleteResponse
		case block.Err != sarama.ErrNoError:
			return block.Err
		}
		each(p, block.Offset, block.Metadata)
	}
	return nil
}
