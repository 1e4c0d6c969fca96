package txn

import (
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// A batch is a record batch for one partition.
type batch struct {
	place
	records []*sarama.Record
	times   []int64
	bytes   int
}

// A request holds batches for one broker, one of a partition at most.
type request struct {
	batches map[place]batch
	bytes   int
}

const requestBytes = 1 << 20

// push writes the queue: first all its partitions join the transaction with one
// request, then each broker gets as few requests as can be. mu is held.
func (p *Producer) push() {
	queue := p.queue
	p.queue = p.queue[:0]
	places := make([]place, 0, len(queue))
	for _, b := range queue {
		places = append(places, b.place)
	}
	if err := p.enlist(places...); err != nil {
		p.fail(err)
	}
	open := map[*sarama.Broker]*request{}
	for _, b := range queue {
		if p.failed() != nil {
			return
		}
		leader, err := p.client.Leader(b.topic, b.partition)
		if err != nil {
			p.fail(fmt.Errorf("producing to %s: %w", b.place, err))
			return
		}
		r := open[leader]
		if r != nil && (r.batches[b.place].records != nil || r.bytes+b.bytes > requestBytes) {
			p.write(leader, r)
			r = nil
		}
		if r == nil {
			r = &request{batches: map[place]batch{}}
			open[leader] = r
		}
		r.batches[b.place] = b
		r.bytes += b.bytes
	}
	for leader, r := range open {
		p.write(leader, r)
	}
	clear(queue) // it is used again, and would keep the records
}

func (p *Producer) write(leader *sarama.Broker, r *request) {
	req := &sarama.ProduceRequest{Version: 7, RequiredAcks: sarama.WaitForAll, Timeout: 10_000}
	if p.id != "" {
		req.TransactionalID = &p.id
	}
	for at, b := range r.batches {
		req.AddBatch(at.topic, at.partition, p.recordBatch(b))
	}
	p.unacked.Add(1)
	err := leader.AsyncProduce(req, func(resp *sarama.ProduceResponse, err error) {
		defer p.unacked.Done()
		for at, b := range r.batches {
			p.acknowledge(at, len(b.records), resp, err)
		}
	})
	if err != nil {
		p.unacked.Done()
		_ = leader.Close() // the next Leader opens it again
		p.fail(fmt.Errorf("producing: %w", err))
	}
}

func (p *Producer) recordBatch(b batch) *sarama.RecordBatch {
	first, newest := b.times[0], b.times[0]
	for i, r := range b.records {
		r.OffsetDelta = int64(i)
		r.TimestampDelta = time.Duration(b.times[i]-first) * time.Millisecond
		newest = max(newest, b.times[i])
	}
	n := int32(len(b.records))
	sequence := p.sequence[b.place]
	p.sequence[b.place] = (sequence + n) & 0x7fffffff
	return &sarama.RecordBatch{
		Version: 2, Records: b.records, LastOffsetDelta: n - 1,
		FirstTimestamp: time.UnixMilli(first), MaxTimestamp: time.UnixMilli(newest),
		ProducerID: p.pid, ProducerEpoch: p.epoch, FirstSequence: sequence, IsTransactional: p.id != "",
	}
}

func (p *Producer) acknowledge(at place, n int, resp *sarama.ProduceResponse, err error) {
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
