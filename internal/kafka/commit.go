package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// patience is how long a coordinator is looked for, or may be busy.
const patience = 20 * time.Second

// Offsets are what a group commits, by topic.
type Offsets map[string][]*sarama.PartitionOffsetMetadata

// AddOffsets waits until the brokers have every record that was pushed, and adds
// the group's offsets to the open transaction. The broker takes them only from a
// member of the current generation (KIP-447). Without transactions they are
// committed here: after the records, so that a crash between the two repeats
// them.
func (p *Producer) AddOffsets(offsets Offsets, m *sarama.ConsumerGroupMetadata) error {
	err := p.Flush() // a broker confirms one request of a producer at a time to be of its transaction
	switch {
	case err != nil:
		return err
	case p.id == "":
		err = p.commit(offsets, m)
	default:
		err = p.addOffsets(offsets, m)
	}
	if err != nil {
		return fmt.Errorf("offsets of group %q: %w", m.GroupID, err)
	}
	return nil
}

// Commit commits the open transaction and begins the next. If it fails the
// outcome is unknown.
func (p *Producer) Commit() error { return p.end(p.ctx, true) }

func (p *Producer) addOffsets(offsets Offsets, m *sarama.ConsumerGroupMetadata) error {
	if err := p.addGroup(); err != nil {
		return err
	}
	_, err := ask(p.ctx, p.offsets.coordinator(), patience, func(b *sarama.Broker) (any, error) {
		r, err := b.TxnOffsetCommit(&sarama.TxnOffsetCommitRequest{
			Version: 3, TransactionalID: p.id, ProducerID: p.pid, ProducerEpoch: p.epoch,
			GroupID: m.GroupID, GenerationID: m.GenerationID, MemberID: m.MemberID, GroupInstanceID: m.GroupInstanceID,
			Topics: offsets,
		})
		if err != nil {
			return nil, err
		}
		for topic, partitions := range r.Topics {
			for _, e := range partitions {
				if err := answer(e.Err); err != nil {
					return nil, fmt.Errorf("%s/%d: %w", topic, e.Partition, err)
				}
			}
		}
		return nil, nil
	})
	return err
}

// end ends the open transaction, and begins the next.
func (p *Producer) end(ctx context.Context, commit bool) error {
	if p.id != "" {
		if err := p.endTxn(ctx, commit); err != nil {
			return fmt.Errorf("ending the transaction: %w", err)
		}
	}
	p.begin()
	return nil
}

// endTxn is repeated if its answer is lost. A coordinator that has committed the
// transaction confirms it again; one that has aborted it answers INVALID_TXN_STATE or
// a newer epoch.
func (p *Producer) endTxn(ctx context.Context, commit bool) error {
	_, err := ask(ctx, p.transaction.coordinator(), patience, func(b *sarama.Broker) (any, error) {
		r, err := b.EndTxn(&sarama.EndTxnRequest{
			TransactionalID: p.id, ProducerID: p.pid, ProducerEpoch: p.epoch, TransactionResult: commit,
		})
		if err != nil {
			return nil, err
		}
		return nil, answer(r.Err)
	})
	return err
}

func (p *Producer) begin() {
	clear(p.enlisted)
	p.grouped = false
	p.open.Store(false)
	p.acks.Lock()
	defer p.acks.Unlock()
	p.ends, p.ended = p.ended, p.ends
	clear(p.ends)
}

func (p *Producer) commit(offsets Offsets, m *sarama.ConsumerGroupMetadata) error {
	req := sarama.NewOffsetCommitRequest(p.client.Config(), m.GroupID)
	req.ConsumerGroupGeneration, req.ConsumerID, req.GroupInstanceId = m.GenerationID, m.MemberID, m.GroupInstanceID
	for topic, partitions := range offsets {
		for _, o := range partitions {
			metadata := ""
			if o.Metadata != nil {
				metadata = *o.Metadata
			}
			req.AddBlockWithLeaderEpoch(topic, o.Partition, o.Offset, -1, sarama.ReceiveTime, metadata)
		}
	}
	return commitOffsets(p.ctx, p.offsets.coordinator(), patience, req)
}

// enlist adds partitions to the transaction with one request, and the group with the
// first. Leaders ask the coordinator whether a partition is in the transaction. While
// the coordinator adds others it does not confirm that, and leaders refuse the
// records: so enlist waits for all answers first. mu is held.
func (p *Producer) enlist(places ...place) error {
	fresh := map[string][]int32{}
	for _, at := range places {
		if !p.enlisted[at] {
			p.enlisted[at] = true // also if it fails: then it is unknown
			fresh[at.topic] = append(fresh[at.topic], at.partition)
		}
	}
	if p.id == "" || len(fresh) == 0 {
		return nil
	}
	p.await()
	p.open.Store(true)
	if err := p.addPartitions(fresh); err != nil {
		return fmt.Errorf("adding partitions to the transaction: %w", err)
	}
	return p.addGroup()
}

func (p *Producer) addPartitions(partitions map[string][]int32) error {
	_, err := ask(p.ctx, p.transaction.coordinator(), patience, func(b *sarama.Broker) (any, error) {
		r, err := b.AddPartitionsToTxn(&sarama.AddPartitionsToTxnRequest{
			TransactionalID: p.id, ProducerID: p.pid, ProducerEpoch: p.epoch, TopicPartitions: partitions,
		})
		if err != nil {
			return nil, err
		}
		var first error
		for topic, partitions := range r.Errors {
			for _, e := range partitions {
				if err := answer(e.Err); err != nil && (first == nil || errors.Is(first, sarama.ErrOperationNotAttempted)) {
					first = fmt.Errorf("%s/%d: %w", topic, e.Partition, err)
				}
			}
		}
		return nil, first
	})
	return err
}

func (p *Producer) addGroup() error {
	if p.grouped {
		return nil
	}
	p.grouped = true // also if it fails: then it is unknown
	p.open.Store(true)
	_, err := ask(p.ctx, p.transaction.coordinator(), patience, func(b *sarama.Broker) (any, error) {
		r, err := b.AddOffsetsToTxn(&sarama.AddOffsetsToTxnRequest{
			TransactionalID: p.id, ProducerID: p.pid, ProducerEpoch: p.epoch, GroupID: p.group,
		})
		if err != nil {
			return nil, err
		}
		return nil, answer(r.Err)
	})
	if err != nil {
		return fmt.Errorf("adding group %q to the transaction: %w", p.group, err)
	}
	return nil
}

// initProducer starts a producer with the id of a holder and fences that holder, or
// any holder if no producer is named. It returns the new one.
func initProducer(ctx context.Context, client sarama.Client, c coordinator, h Holder, timeout time.Duration) (Holder, error) {
	start := func(b *sarama.Broker) (Holder, error) {
		req := &sarama.InitProducerIDRequest{Version: 4, TransactionTimeout: timeout, ProducerID: h.Producer, ProducerEpoch: h.Epoch}
		if h.ID != "" {
			req.TransactionalID = &h.ID
		}
		r, err := b.InitProducerID(req)
		if err != nil {
			return h, err
		}
		return Holder{h.ID, r.ProducerID, r.ProducerEpoch}, answer(r.Err)
	}
	if h.ID != "" {
		return ask(ctx, c, patience, start)
	}
	return Call(ctx, func() (Holder, error) {
		b, err := client.Controller()
		if err != nil {
			return h, err
		}
		return start(b)
	})
}
