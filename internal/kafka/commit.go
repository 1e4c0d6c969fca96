package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// patience is how long a coordinator may ask to be asked again.
const patience = 20 * time.Second

// Offsets are the places from which a group goes on, by topic.
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
		err = p.commitOffsets(offsets, m)
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
func (p *Producer) Commit() error { return p.end(true) }

func (p *Producer) addOffsets(offsets Offsets, m *sarama.ConsumerGroupMetadata) error {
	if err := p.addGroup(); err != nil {
		return err
	}
	return ofGroup(p.client, m.GroupID).ask(func(b *sarama.Broker) (error, error) {
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
					return fmt.Errorf("%s/%d: %w", topic, e.Partition, err), nil
				}
			}
		}
		return nil, nil
	})
}

// end ends the open transaction, and begins the next.
func (p *Producer) end(commit bool) error {
	if p.id == "" {
		p.begin()
		return nil
	}
	err := ofTransaction(p.client, p.id).ask(func(b *sarama.Broker) (error, error) {
		r, err := b.EndTxn(&sarama.EndTxnRequest{
			TransactionalID: p.id, ProducerID: p.pid, ProducerEpoch: p.epoch, TransactionResult: commit,
		})
		if err != nil {
			return nil, err
		}
		return answer(r.Err), nil
	})
	if err != nil {
		return fmt.Errorf("ending the transaction: %w", err)
	}
	p.begin()
	return nil
}

func (p *Producer) begin() {
	clear(p.enlisted)
	p.grouped = false
	p.acks.Lock()
	defer p.acks.Unlock()
	p.ends, p.ended = p.ended, p.ends
	clear(p.ends)
}

func (p *Producer) commitOffsets(offsets Offsets, m *sarama.ConsumerGroupMetadata) error {
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
	return ofGroup(p.client, m.GroupID).ask(func(b *sarama.Broker) (error, error) {
		r, err := b.CommitOffset(req)
		if err != nil {
			return nil, err
		}
		for topic, partitions := range r.Errors {
			for partition, e := range partitions {
				if err := answer(e); err != nil {
					return fmt.Errorf("%s/%d: %w", topic, partition, err), nil
				}
			}
		}
		return nil, nil
	})
}

// enlist adds partitions to the transaction, with one request, and at first the
// group. While the coordinator takes that down it confirms to nobody that a
// partition is of the transaction, and leaders refuse records for it: so all
// that was sent is answered before, and all that follows is sent after. mu is
// held.
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
	p.unacked.Wait()
	if err := p.addPartitions(fresh); err != nil {
		return fmt.Errorf("adding partitions to the transaction: %w", err)
	}
	return p.addGroup()
}

func (p *Producer) addPartitions(partitions map[string][]int32) error {
	return ofTransaction(p.client, p.id).ask(func(b *sarama.Broker) (error, error) {
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
		return first, nil
	})
}

func (p *Producer) addGroup() error {
	if p.grouped {
		return nil
	}
	p.grouped = true // also if it fails: then it is unknown
	err := ofTransaction(p.client, p.id).ask(func(b *sarama.Broker) (error, error) {
		r, err := b.AddOffsetsToTxn(&sarama.AddOffsetsToTxnRequest{
			TransactionalID: p.id, ProducerID: p.pid, ProducerEpoch: p.epoch, GroupID: p.group,
		})
		if err != nil {
			return nil, err
		}
		return answer(r.Err), nil
	})
	if err != nil {
		return fmt.Errorf("adding group %q to the transaction: %w", p.group, err)
	}
	return nil
}

// initProducer starts a producer after a holder of a transactional id, after any
// if none is named.
func initProducer(client sarama.Client, h Holder, timeout time.Duration) (pid int64, epoch int16, err error) {
	ask := func(b *sarama.Broker) (error, error) {
		req := &sarama.InitProducerIDRequest{Version: 4, TransactionTimeout: timeout, ProducerID: h.Producer, ProducerEpoch: h.Epoch}
		if h.ID != "" {
			req.TransactionalID = &h.ID
		}
		r, err := b.InitProducerID(req)
		if err != nil {
			return nil, err
		}
		pid, epoch = r.ProducerID, r.ProducerEpoch
		return answer(r.Err), nil
	}
	if h.ID != "" {
		return pid, epoch, ofTransaction(client, h.ID).ask(ask)
	}
	b, err := client.Controller()
	if err != nil {
		return 0, 0, err
	}
	refused, err := ask(b)
	return pid, epoch, errors.Join(refused, err)
}

// A coordinator is the broker that keeps a group or a transaction.
type coordinator struct {
	find    func() (*sarama.Broker, error)
	refresh func() error
}

func ofGroup(client sarama.Client, group string) coordinator {
	return coordinator{
		func() (*sarama.Broker, error) { return client.Coordinator(group) },
		func() error { return client.RefreshCoordinator(group) },
	}
}

func ofTransaction(client sarama.Client, id string) coordinator {
	return coordinator{
		func() (*sarama.Broker, error) { return client.TransactionCoordinator(id) },
		func() error { return client.RefreshTransactionCoordinator(id) },
	}
}

// ask asks the coordinator, again while it is busy with the transaction before,
// or moving. request returns the coordinator's refusal and, second, the loss of
// its answer.
func (c coordinator) ask(request func(*sarama.Broker) (error, error)) error {
	for began := time.Now(); ; {
		b, err := c.find()
		if err != nil {
			return err
		}
		refused, err := request(b)
		switch {
		case err != nil:
			_ = b.Close() // the next one to ask opens it again
			return err
		case refused == nil || time.Since(began) > patience:
			return refused
		case errors.Is(refused, sarama.ErrConcurrentTransactions):
			time.Sleep(time.Millisecond)
		case errors.Is(refused, sarama.ErrNotCoordinatorForConsumer),
			errors.Is(refused, sarama.ErrConsumerCoordinatorNotAvailable),
			errors.Is(refused, sarama.ErrOffsetsLoadInProgress):
			time.Sleep(50 * time.Millisecond)
			if err := c.refresh(); err != nil {
				return err
			}
		default:
			return refused
		}
	}
}

// answer is the error that a broker's code stands for.
func answer(code sarama.KError) error {
	if code == sarama.ErrNoError {
		return nil
	}
	return code
}
