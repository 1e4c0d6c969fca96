// Package txn speaks Kafka's transaction protocol: records consumed and
// records produced become one transaction.
//
// It uses sarama's requests and not its AsyncProducer, which costs several
// channel operations a record, waits for a flush timer before each commit and
// sleeps after it. Nothing is retried but what the broker asks to be: any other
// error ends the Producer, and its successor's InitProducerId decides what
// becomes of the open transaction.
package txn

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// A Producer writes one transaction after the other. Send and Publish may be
// called by several goroutines at once, the others by one while none of those
// runs. After the first error it does nothing any more.
type Producer struct {
	client sarama.Client
	id     string // transactional id; "" without transactions
	pid    int64
	epoch  int16

	unacked sync.WaitGroup // batches sent and not yet answered

	mu       sync.Mutex
	enlisted map[place]bool // partitions of the open transaction
	sequence map[place]int32
	buffers  map[place]*buffer

	// acks is a lock of its own: answers come while a sender holds mu and waits
	// for another answer on the same connection.
	acks  sync.Mutex
	ends  map[place]int64 // the offset after the last record acknowledged in the open transaction
	ended map[place]int64 // the same of the last one committed
	err   error
}

type place struct {
	topic     string
	partition int32
}

func (p place) String() string { return fmt.Sprintf("%s/%d", p.topic, p.partition) }

const (
	batchRecords = 1000
	batchBytes   = 800 << 10
	recordCost   = 20 // bytes of a record beside its key and value, about
)

// NewProducer takes the transactional id over: it ends what an earlier holder
// of the id left open, by commit if its commit was decided, else by abort, and
// fences that holder. Without an id records are written outside of
// transactions, in order and without doubles of their own.
func NewProducer(client sarama.Client, id string, timeout time.Duration) (*Producer, error) {
	p := &Producer{
		client: client, id: id,
		enlisted: map[place]bool{}, sequence: map[place]int32{}, buffers: map[place]*buffer{},
		ends: map[place]int64{}, ended: map[place]int64{},
	}
	var err error
	p.pid, p.epoch, err = initProducer(client, id, timeout)
	if err != nil {
		return nil, fmt.Errorf("transactional producer %q: %w", id, err)
	}
	return p, nil
}

// Fence aborts what the holder of another transactional id left open, and
// refuses whatever that holder still tries.
func Fence(client sarama.Client, id string, timeout time.Duration) error {
	if _, _, err := initProducer(client, id, timeout); err != nil {
		return fmt.Errorf("fencing %q: %w", id, err)
	}
	return nil
}

// Send writes records to a partition. They and what they point to must not
// change until Flush has returned.
func (p *Producer) Send(topic string, partition int32, records []*sarama.Record, times []int64) {
	at := place{topic, partition}
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(records) > 0 {
		n, size := 0, 0
		for n < len(records) && n < batchRecords && (n == 0 || size < batchBytes) {
			size += len(records[n].Key) + len(records[n].Value) + recordCost
			n++
		}
		p.produce(at, records[:n], times[:n])
		records, times = records[n:], times[n:]
	}
}

// produce sends one batch. The first of a partition in a transaction enlists it
// and, with it, whatever else is buffered.
func (p *Producer) produce(at place, records []*sarama.Record, times []int64) {
	if err := p.enlist(at); err != nil {
		p.fail(err)
	}
	if p.failed() != nil {
		return
	}
	first, newest := times[0], times[0]
	for i, r := range records {
		r.OffsetDelta = int64(i)
		r.TimestampDelta = time.Duration(times[i]-first) * time.Millisecond
		newest = max(newest, times[i])
	}
	n := int32(len(records))
	batch := &sarama.RecordBatch{
		Version: 2, Records: records, LastOffsetDelta: n - 1,
		FirstTimestamp: time.UnixMilli(first), MaxTimestamp: time.UnixMilli(newest),
		ProducerID: p.pid, ProducerEpoch: p.epoch, FirstSequence: p.sequence[at], IsTransactional: p.id != "",
	}
	p.sequence[at] = (p.sequence[at] + n) & 0x7fffffff
	req := &sarama.ProduceRequest{Version: 7, RequiredAcks: sarama.WaitForAll, Timeout: 10_000}
	if p.id != "" {
		req.TransactionalID = &p.id
	}
	req.AddBatch(at.topic, at.partition, batch)
	leader, err := p.client.Leader(at.topic, at.partition)
	if err != nil {
		p.fail(fmt.Errorf("producing to %s: %w", at, err))
		return
	}
	p.unacked.Add(1)
	err = leader.AsyncProduce(req, func(resp *sarama.ProduceResponse, err error) {
		defer p.unacked.Done()
		p.acknowledge(at, n, resp, err)
	})
	if err != nil {
		p.unacked.Done()
		_ = leader.Close()
		p.fail(fmt.Errorf("producing to %s: %w", at, err))
	}
}

func (p *Producer) acknowledge(at place, n int32, resp *sarama.ProduceResponse, err error) {
	var block *sarama.ProduceResponseBlock
	if err == nil {
		if block = resp.GetBlock(at.topic, at.partition); block == nil {
			err = sarama.ErrIncompleteResponse
		} else {
			err = answer(block.Err)
		}
	}
	if err != nil {
		p.fail(fmt.Errorf("producing to %s: %w", at, err))
		return
	}
	p.acks.Lock()
	defer p.acks.Unlock()
	p.ends[at] = max(p.ends[at], block.Offset+int64(n))
}

func (p *Producer) fail(err error) {
	p.acks.Lock()
	defer p.acks.Unlock()
	if p.err == nil {
		p.err = err
	}
}

func (p *Producer) failed() error {
	p.acks.Lock()
	defer p.acks.Unlock()
	return p.err
}

// Flush sends what is buffered and waits until the brokers have everything.
func (p *Producer) Flush() error {
	p.mu.Lock()
	p.flushBuffers()
	p.mu.Unlock()
	p.unacked.Wait()
	return p.failed()
}

// End returns the offset after the last record that the last transaction to be
// committed wrote to a partition, if it wrote one.
func (p *Producer) End(topic string, partition int32) (end int64, ok bool) {
	p.acks.Lock()
	defer p.acks.Unlock()
	end, ok = p.ended[place{topic, partition}]
	return end, ok
}

// Close aborts what is open, so that readers need not wait for its timeout.
func (p *Producer) Close() error {
	p.unacked.Wait()
	if p.id == "" || len(p.enlisted) == 0 || errors.Is(p.failed(), sarama.ErrInvalidProducerEpoch) {
		return nil
	}
	return p.end(false)
}
