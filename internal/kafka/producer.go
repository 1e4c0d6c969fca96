// Package kafka sends every request to Kafka: it produces in transactions, reads logs,
// and asks about groups, offsets and topics.
//
// Producer uses sarama's requests and not its AsyncProducer, which costs several
// channel operations a record, waits for a flush timer before each commit and sleeps
// after it. What a broker does not take because another one leads or coordinates is
// sent again within the transaction. Any other error ends the Producer, and its
// successor's InitProducerId decides what becomes of the open transaction.
//
// sarama's calls take no context: [Call] gives them one, and a [Client] closes the
// connections of those that were left.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// A Producer writes one transaction after the other. Send, Publish, Begin and
// Push may be called by several goroutines at once. Of the others, but for Close, one
// runs at a time, and none of those meanwhile. After the first error the Producer does
// nothing more.
//
// It has a client and connections of its own: other requests do not wait for its
// answers, and Close cuts them. mu is locked before acks.
type Producer struct {
	// MaxMessageBytes returns the topic's setting of that name, 0 if it is not known.
	// Batches are made to fit; what is refused all the same is split. It may be set
	// before the first record.
	MaxMessageBytes func(topic string) int

	connection *Client
	client     sarama.Client // of connection
	id         string        // transactional id; "" without transactions
	group      string        // whose offsets are in each transaction
	pid        int64
	epoch      int16

	transaction, offsets *apart // coordinators of id, and of group

	ctx    context.Context // of its requests; Close ends it
	cancel context.CancelFunc
	closed sync.Once

	unacked sync.WaitGroup // batches sent and not yet answered
	open    atomic.Bool    // the coordinator may know of a transaction that is not ended

	mu       sync.Mutex
	enlisted map[place]bool // partitions of the open transaction
	grouped  bool           // the group's offsets are of it, too
	sequence map[place]int32
	pushed   uint64            // batches
	leaders  map[place]Leader  // by now, where the client does not know
	buffers  map[place]*buffer // published, and not yet queued
	queue    []batch           // not yet written

	// acks is a lock of its own: answers come while a sender holds mu and waits
	// for another answer on the same connection.
	acks    sync.Mutex
	known   map[place]bool  // partitions that have taken a batch of the producer
	ends    map[place]int64 // the offset after the last record acknowledged in the open transaction
	ended   map[place]int64 // the same of the last one committed
	untaken []untaken       // to be sent again by Flush
	err     error
}

type place struct {
	topic     string
	partition int32
}

func (p place) String() string { return fmt.Sprintf("%s/%d", p.topic, p.partition) }

// NewProducer takes the transactional id over: it ends what an earlier holder
// of the id left open, by commit if its commit was decided, else by abort, and
// fences that holder. Without an id records are written outside of
// transactions, in order and without doubles of their own.
//
// Transactions carry the offsets of a group. NewProducer gives up when ctx is done.
func NewProducer(ctx context.Context, c Config, id, group string, timeout time.Duration) (*Producer, error) {
	connection, err := c.connectProducer(ctx)
	if err != nil {
		return nil, err
	}
	p := &Producer{
		connection: connection, client: connection.Sarama, id: id, group: group,
		leaders: map[place]Leader{}, enlisted: map[place]bool{}, sequence: map[place]int32{}, buffers: map[place]*buffer{},
		known: map[place]bool{}, ends: map[place]int64{}, ended: map[place]int64{},
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.transaction = &apart{ctx: p.ctx, client: p.client, kind: sarama.CoordinatorTransaction, key: id}
	p.offsets = &apart{ctx: p.ctx, client: p.client, kind: sarama.CoordinatorGroup, key: group}
	h, err := initProducer(ctx, p.client, p.transaction.coordinator(), Holder{ID: id, Producer: -1, Epoch: -1}, timeout)
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("transactional producer %q: %w", id, err)
	}
	p.pid, p.epoch = h.Producer, h.Epoch
	return p, nil
}

// Send queues records for a partition. They and what they point to must not
// change until they are pushed and Flush has returned.
func (p *Producer) Send(topic string, partition int32, records []*sarama.Record, times []int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	room := p.room(topic)
	for len(records) > 0 {
		n, size := 0, 0
		for n < len(records) && n < batchRecords {
			more := recordBytes(records[n].Key, records[n].Value, records[n].Headers)
			if n > 0 && size+more > room {
				break
			}
			size += more
			n++
		}
		p.queue = append(p.queue, batch{at: place{topic, partition}, records: records[:n], times: times[:n], bytes: size})
		records, times = records[n:], times[n:]
	}
}

// Begin adds partitions, by topic, to the open transaction, and those for which
// something is published, ahead of their records: the commit need not do it.
func (p *Producer) Begin(partitions map[string][]int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var places []place
	for topic, all := range partitions {
		for _, n := range all {
			places = append(places, place{topic, n})
		}
	}
	for at, b := range p.buffers {
		if len(b.records) > 0 {
			places = append(places, at)
		}
	}
	if err := p.enlist(places...); err != nil {
		p.fail(err)
	}
}

// Push writes what is queued and published. It does not wait for the answers.
func (p *Producer) Push() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for at, b := range p.buffers {
		p.queueBuffer(at, b)
	}
	p.push()
}

// Flush waits until the brokers have everything that was pushed, and sends again
// what they have not taken. It returns a *RefusedError if they do not take one of
// the records.
func (p *Producer) Flush() error {
	p.await()
	if p.failed() == nil {
		if err := p.settle(); err != nil {
			p.fail(err)
		}
	}
	return p.failed()
}

// await returns when every batch that was sent is answered, or the producer closed.
func (p *Producer) await() {
	_, _ = Call(p.ctx, func() (any, error) { p.unacked.Wait(); return nil, nil })
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

// End returns the offset after the last record that the last transaction to be
// committed wrote to a partition, if it wrote one.
func (p *Producer) End(topic string, partition int32) (end int64, ok bool) {
	p.acks.Lock()
	defer p.acks.Unlock()
	end, ok = p.ended[place{topic, partition}]
	return end, ok
}

// Abort aborts what is open, so that it does not run into its timeout, and
// readers need not wait for that.
func (p *Producer) Abort() error {
	p.await()
	if !p.open.Load() || errors.Is(p.failed(), sarama.ErrInvalidProducerEpoch) {
		return nil
	}
	return p.end(p.ctx, false)
}

// courtesy is how long a producer that was closed tries to abort what is open: for
// readers only, as its successor does so in any case.
const courtesy = 500 * time.Millisecond

// Close ends the requests that are under way, and waits for no answer. It starts a
// goroutine that aborts the open transaction, within half a second, and then cuts the
// connections.
func (p *Producer) Close() {
	p.closed.Do(func() {
		p.fail(fmt.Errorf("the producer is closed: %w", net.ErrClosed))
		p.cancel()
		go func() {
			defer func() {
				_ = p.connection.Close()
				p.transaction.close()
				p.offsets.close()
			}()
			if p.open.Load() {
				ctx, cancel := context.WithTimeout(context.Background(), courtesy)
				defer cancel()
				_ = p.endTxn(ctx, false)
			}
		}()
	})
}
