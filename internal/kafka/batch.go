package kafka

import (
	"time"

	"github.com/IBM/sarama"
)

// A batch is a record batch for one partition.
type batch struct {
	at       place
	records  []*sarama.Record
	times    []int64
	bytes    int
	sequence int32  // of the first record, once it is written
	number   uint64 // among all that were pushed
}

// halves splits a batch of several records. Each half keeps its sequence.
func (b batch) halves() [2]batch {
	n := len(b.records) / 2
	first, second := b, b
	first.records, first.times = b.records[:n], b.times[:n]
	second.records, second.times = b.records[n:], b.times[n:]
	second.sequence = (b.sequence + int32(n)) & 0x7fffffff
	return [2]batch{first, second}
}

// A request holds batches for one broker, one of a partition at most.
type request struct {
	batches map[place]batch
	bytes   int
}

const (
	requestBytes = 1 << 20
	batchRecords = 1000
	batchBytes   = 800 << 10
	ackTimeout   = 2500 // milliseconds for a leader's followers; less than requestTimeout, to tell one from the other

	// Kafka's format adds no more than batchCost to a batch, recordCost to a record
	// and headerCost to a header.
	batchCost  = 61
	recordCost = 36
	headerCost = 10
)

// recordBytes returns no less than a record takes in a batch.
func recordBytes(key, value []byte, headers []*sarama.RecordHeader) int {
	n := recordCost + len(key) + len(value)
	for _, h := range headers {
		n += headerCost + len(h.Key) + len(h.Value)
	}
	return n
}

// room returns how many bytes of records a batch for a topic may hold. A record
// that is larger goes alone.
func (p *Producer) room(topic string) int {
	if p.MaxMessageBytes != nil {
		if n := p.MaxMessageBytes(topic); n > 0 {
			return min(batchBytes, n-batchCost)
		}
	}
	return batchBytes
}

// push writes the queue: first all its partitions join the transaction with one
// request, then each broker gets as few requests as can be. mu is held.
//
// The first batch of a partition goes alone: a broker that knows nothing of a
// producer takes any sequence, and so would take the second without the first. What
// follows a batch that was not taken is kept behind it.
func (p *Producer) push() {
	queue := p.queue
	p.queue = p.queue[:0]
	places := make([]place, 0, len(queue))
	for _, b := range queue {
		places = append(places, b.at)
	}
	if err := p.enlist(places...); err != nil {
		p.fail(err)
	}
	out := p.outgoing()
	for _, b := range queue {
		if p.failed() != nil {
			return
		}
		b.sequence, b.number = p.sequence[b.at], p.pushed
		p.sequence[b.at] = (b.sequence + int32(len(b.records))) & 0x7fffffff
		p.pushed++
		if b.sequence > 0 && !p.takes(b.at) {
			out.send()
			p.await()
		}
		if !p.keepBehind(b) {
			out.add(b)
		}
	}
	out.send()
	clear(queue) // it is used again, and would keep the records
}

// takes tells whether a partition has taken a batch of the producer.
func (p *Producer) takes(at place) bool {
	p.acks.Lock()
	defer p.acks.Unlock()
	return p.known[at]
}

// An outgoing gathers batches into requests, by broker.
type outgoing struct {
	producer *Producer
	open     map[*sarama.Broker]*request
}

func (p *Producer) outgoing() *outgoing { return &outgoing{p, map[*sarama.Broker]*request{}} }

// add adds a batch to a request, and sends the request first if it is full.
func (o *outgoing) add(b batch) {
	leader, err := o.producer.leader(b.at)
	if err != nil {
		o.producer.answered(b, nil, &ProduceError{b.at.topic, b.at.partition, err})
		return
	}
	r := o.open[leader]
	if r != nil && (r.batches[b.at].records != nil || r.bytes+b.bytes > requestBytes) {
		o.producer.write(leader, r)
		r = nil
	}
	if r == nil {
		r = &request{batches: map[place]batch{}}
		o.open[leader] = r
	}
	r.batches[b.at] = b
	r.bytes += b.bytes
}

func (o *outgoing) send() {
	for leader, r := range o.open {
		o.producer.write(leader, r)
	}
	clear(o.open)
}

func (p *Producer) write(leader *sarama.Broker, r *request) {
	req := p.produceRequest()
	for at, b := range r.batches {
		req.AddBatch(at.topic, at.partition, p.recordBatch(b))
	}
	p.unacked.Add(1)
	answered := func(resp *sarama.ProduceResponse, err error) {
		defer p.unacked.Done()
		for _, b := range r.batches {
			p.answered(b, leader, p.acknowledge(b, resp, err))
		}
	}
	if err := leader.AsyncProduce(req, answered); err != nil {
		answered(nil, err)
	}
}

func (p *Producer) produceRequest() *sarama.ProduceRequest {
	req := &sarama.ProduceRequest{Version: 7, RequiredAcks: sarama.WaitForAll, Timeout: ackTimeout}
	if p.id != "" {
		req.TransactionalID = &p.id
	}
	return req
}

func (p *Producer) recordBatch(b batch) *sarama.RecordBatch {
	first, newest := b.times[0], b.times[0]
	for i, r := range b.records {
		r.OffsetDelta = int64(i)
		r.TimestampDelta = time.Duration(b.times[i]-first) * time.Millisecond
		newest = max(newest, b.times[i])
	}
	return &sarama.RecordBatch{
		Version: 2, Records: b.records, LastOffsetDelta: int32(len(b.records)) - 1,
		FirstTimestamp: time.UnixMilli(first), MaxTimestamp: time.UnixMilli(newest),
		ProducerID: p.pid, ProducerEpoch: p.epoch, FirstSequence: b.sequence, IsTransactional: p.id != "",
	}
}

// acknowledge notes the offset of a batch that a broker has taken, or returns why the
// broker has not. A broker that gets a batch twice answers with the first offset: it
// remembers the last five batches of a producer in a partition, and no more than five
// are in flight.
func (p *Producer) acknowledge(b batch, resp *sarama.ProduceResponse, err error) error {
	var block *sarama.ProduceResponseBlock
	if err == nil {
		if block = resp.GetBlock(b.at.topic, b.at.partition); block == nil {
			err = sarama.ErrIncompleteResponse
		} else {
			err = answer(block.Err)
		}
	}
	if err != nil {
		return &ProduceError{b.at.topic, b.at.partition, err}
	}
	p.acks.Lock()
	defer p.acks.Unlock()
	p.known[b.at] = true
	p.ends[b.at] = max(p.ends[b.at], block.Offset+int64(len(b.records)))
	return nil
}
