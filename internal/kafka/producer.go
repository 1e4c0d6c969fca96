// Package kafka speaks Kafka's transaction protocol: records consumed and
// records produced become one transaction.
//
// It uses sarama's requests and not its AsyncProducer, which costs several
// channel operations a record, waits for a flush timer before each commit and
// sleeps after it. Nothing is retried but what the broker asks to be: any other
// error ends the Producer, and its successor's InitProducerId decides what
// becomes of the open transaction.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// A Producer writes one transaction after the other. Send, Publish, Begin and
// Push may be called by several goroutines at once, the others by one while none
// of those runs. After the first error it does nothing any more.
type Producer struct {
	// MaxMessageBytes returns the topic's setting of that name, 0 if it is not known.
	// Batches are made to fit; what is refused all the same is split. It may be set
	// before the first record.
	MaxMessageBytes func(topic string) int

	ctx    context.Context // of its requests; Close ends it
	close  context.CancelFunc
	client sarama.Client
	id     string // transactional id; "" without transactions
	group  string // whose offsets are in each transaction
	pid    int64
	epoch  int16

	unacked sync.WaitGroup // batches sent and not yet answered

	mu       sync.Mutex
	enlisted map[place]bool // partitions of the open transaction
	grouped  bool           // the group's offsets are of it, too
	sequence map[place]int32
	buffers  map[place]*buffer // published, and not yet queued
	queue    []batch           // not yet written

	// acks is a lock of its own: answers come while a sender holds mu and waits
	// for another answer on the same connection.
	acks  sync.Mutex
	ends  map[place]int64 // the offset after the last record acknowledged in the open transaction
	ended map[place]int64 // the same of the last one committed
	err   error

	refused []refusal // batches to be sent again, guarded by acks
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
// Transactions carry the offsets of a group. It gives up when ctx is done; later
// requests end with Close.
func NewProducer(ctx context.Context, client sarama.Client, id, group string, timeout time.Duration) (*Producer, error) {
	p := &Producer{
		client: client, id: id, group: group,
		enlisted: map[place]bool{}, sequence: map[place]int32{}, buffers: map[place]*buffer{},
		ends: map[place]int64{}, ended: map[place]int64{},
	}
	h, err := initProducer(ctx, client, Holder{ID: id, Producer: -1, Epoch: -1}, timeout)
	if err != nil {
		return nil, fmt.Errorf("transactional producer %q: %w", id, err)
	}
	p.pid, p.epoch = h.Producer, h.Epoch
	p.ctx, p.close = context.WithCancel(context.Background())
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
		p.queue = append(p.queue, batch{place: place{topic, partition}, records: records[:n], times: times[:n], bytes: size})
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

// Flush waits until the brokers have everything that was pushed. It returns a
// *RefusedError if they do not take one of the records.
func (p *Producer) Flush() error {
	p.unacked.Wait()
	if p.failed() == nil {
		if err := p.sendRefused(); err != nil {
			p.fail(err)
		}
	}
	return p.failed()
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
	p.unacked.Wait()
	if p.id == "" || len(p.enlisted) == 0 && !p.grouped || errors.Is(p.failed(), sarama.ErrInvalidProducerEpoch) {
		return nil
	}
	return p.end(false)
}

// Close ends the requests that are under way. Nothing is aborted.
func (p *Producer) Close() { p.close() }
