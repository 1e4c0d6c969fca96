//go:build unix

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/proof/orders"
	"github.com/tidemark-dev/tidemark/internal/proof/referee"
)

// A producer fills the journals: slowly and in floods by turns, one batch in
// four within a transaction, every second of which is aborted. What really came
// to the journal, a broker that died may have the last word on; the numbers of a
// key rise in any case, because no batch is sent twice.
type producer struct {
	o      options
	run    string
	random *rand.Rand
	shop   *orders.Traffic // nil if it is no workload
	sent   atomic.Int64    // records acknowledged
	lost   atomic.Int64    // records whose fate was not learnt

	plain sarama.SyncProducer
	inTxn sarama.SyncProducer

	mu      sync.Mutex
	next    map[string]int64   // by key: the last number sent
	deleted map[string][]int64 // by key: numbers of tombstones that may have been sent
}

func newProducer(o options, run string) *producer {
	p := &producer{
		o: o, run: run, random: rand.New(rand.NewPCG(o.seed, 2)),
		next: map[string]int64{}, deleted: map[string][]int64{},
	}
	if o.shop {
		p.shop = orders.NewTraffic(newShop(run), o.seed)
	}
	return p
}

// open sends what the shop's other records must find.
func (p *producer) open() error {
	if p.shop == nil {
		return nil
	}
	var batch []*sarama.ProducerMessage
	for range orders.Opening {
		r, err := p.shop.Next()
		if err != nil {
			return err
		}
		batch = append(batch, message(r))
	}
	if err := p.connect(); err != nil {
		return err
	}
	return p.plain.SendMessages(batch)
}

// produce sends all records within the length of the run, longer if Kafka was away.
func (p *producer) produce(ctx context.Context) {
	const most = 400 // records a batch
	defer p.disconnect()
	began, flood, turn := time.Now(), false, time.Now()
	for ctx.Err() == nil && p.sent.Load() < int64(p.o.records) {
		if time.Now().After(turn) {
			flood = !flood
			turn = time.Now().Add(between(p.random, 500*time.Millisecond, 4*time.Second))
		}
		due := int(float64(p.o.records)*min(1, float64(time.Since(began))/float64(p.o.length))) - int(p.sent.Load())
		n := min(most, due)
		if !flood {
			n = min(most, max(1, p.o.records/int(p.o.length/(50*time.Millisecond))/5)) // a fifth of the rate
		}
		if n > 0 {
			if err := p.send(min(n, p.o.records-int(p.sent.Load()))); err != nil {
				p.lost.Add(int64(n))
				p.disconnect()
				sleep(ctx, 500*time.Millisecond)
			}
		}
		if !flood || n < most {
			sleep(ctx, 50*time.Millisecond)
		}
	}
}

func (p *producer) send(n int) error {
	if err := p.connect(); err != nil {
		return err
	}
	inTxn := p.random.IntN(4) == 0
	abort := inTxn && p.random.IntN(2) == 0
	batch, err := p.batch(n, abort)
	if err != nil {
		return err
	}
	if !inTxn {
		if err := p.plain.SendMessages(batch); err != nil {
			return err
		}
		p.sent.Add(int64(n))
		return nil
	}
	if err := p.inTxn.BeginTxn(); err != nil {
		return err
	}
	if err := p.inTxn.SendMessages(batch); err != nil {
		return errors.Join(err, p.inTxn.AbortTxn())
	}
	if abort {
		return p.inTxn.AbortTxn()
	}
	if err := p.inTxn.CommitTxn(); err != nil {
		return err
	}
	p.sent.Add(int64(n))
	return nil
}

// batch makes records of each workload. Those to be aborted nobody may see, and
// show it.
func (p *producer) batch(n int, abort bool) (batch []*sarama.ProducerMessage, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	choices := len(p.o.workloads)
	if p.shop != nil {
		choices++
	}
	for range n {
		i := p.random.IntN(choices)
		if i == len(p.o.workloads) {
			next := p.shop.Next
			if abort {
				next = p.shop.Aborted
			}
			r, err := next()
			if err != nil {
				return nil, err
			}
			batch = append(batch, message(r))
			continue
		}
		batch = append(batch, p.numbered(p.o.workloads[i], abort))
	}
	return batch, nil
}

// numbered makes a record of a random key, with its next number.
func (p *producer) numbered(l workload, abort bool) *sarama.ProducerMessage {
	key := l.key(p.random.IntN(p.o.keys))
	msg := &sarama.ProducerMessage{Topic: l.journal(p.run), Key: sarama.StringEncoder(key)}
	number := aborted
	if !abort {
		p.next[key]++
		number = p.next[key]
	}
	if l.deletes && !abort && p.random.IntN(7) == 0 {
		p.deleted[key] = append(p.deleted[key], number)
	} else {
		msg.Value = sarama.ByteEncoder(value(number))
	}
	return msg
}

// tombstone returns the number of a key's first tombstone after a number.
func (p *producer) tombstone(key string, after int64) (number int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, number := range p.deleted[key] {
		if number > after {
			return number, true
		}
	}
	return 0, false
}

func (p *producer) connect() (err error) {
	if p.plain != nil {
		return nil
	}
	plain := referee.Config()
	plain.Producer.Return.Successes = true
	if p.plain, err = sarama.NewSyncProducer(p.o.brokers, plain); err != nil {
		p.plain = nil
		return err
	}
	inTxn := referee.Config()
	inTxn.Producer.Return.Successes = true
	inTxn.Producer.Transaction.ID = p.run + "-journal"
	inTxn.Producer.Transaction.Retry.Backoff = 5 * time.Millisecond
	inTxn.Producer.Transaction.Timeout = 10 * time.Second
	if p.inTxn, err = sarama.NewSyncProducer(p.o.brokers, inTxn); err != nil {
		p.inTxn = nil
		p.disconnect()
	}
	return err
}

func (p *producer) disconnect() {
	if p.plain != nil {
		_ = p.plain.Close() // all that it had to say was an answer to a batch
	}
	if p.inTxn != nil {
		_ = p.inTxn.Close()
	}
	p.plain, p.inTxn = nil, nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
