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

	"github.com/tidemark-dev/tidemark/internal/referee"
)

// A producer fills the journals: slowly and in floods by turns, one batch in
// four within a transaction, every second of which is aborted. What really came
// to the journal, a broker that died may have the last word on; the numbers of a
// key rise in any case, because no batch is sent twice.
type producer struct {
	o      options
	run    string
	random *rand.Rand
	sent   atomic.Int64 // records acknowledged
	lost   atomic.Int64 // records whose fate was not learnt

	plain sarama.SyncProducer
	inTxn sarama.SyncProducer

	mu      sync.Mutex
	next    map[string]int64   // by key: the last number sent
	deleted map[string][]int64 // by key: numbers of tombstones that may have been sent
}

func newProducer(o options, run string) *producer {
	return &producer{
		o: o, run: run, random: rand.New(rand.NewPCG(o.seed, 2)),
		next: map[string]int64{}, deleted: map[string][]int64{},
	}
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
	if p.random.IntN(4) > 0 {
		err := p.plain.SendMessages(p.batch(n, false))
		if err == nil {
			p.sent.Add(int64(n))
		}
		return err
	}
	abort := p.random.IntN(2) == 0
	if err := p.inTxn.BeginTxn(); err != nil {
		return err
	}
	if err := p.inTxn.SendMessages(p.batch(n, abort)); err != nil {
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

// batch makes records of random keys. Those to be aborted have a number that
// nobody may see.
func (p *producer) batch(n int, abort bool) []*sarama.ProducerMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	batch := make([]*sarama.ProducerMessage, 0, n)
	for range n {
		l := p.o.workloads[p.random.IntN(len(p.o.workloads))]
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
		batch = append(batch, msg)
	}
	return batch
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
