//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/proof/referee"
)

// A flow is a steady stream of records, some of which, the probes, are watched
// until Redis has them. They leave on time whether or not those before them have
// arrived, so a pause is felt by all that fall into it. Each has a key of its own.
type flow struct {
	bench *bench
	topic string
	every int // one record in so many is a probe

	mu   sync.Mutex
	open map[string]probe // by Redis key
	seen []probe
}

// A probe is a record that is watched.
type probe struct {
	partition int32
	sent      time.Time
	took      time.Duration // until Redis had it
}

const perSecond = 1000

// start begins the flow into a new topic. What it returns ends it, after the
// last probe has arrived or ctx is done.
func (f *flow) start(ctx context.Context) (stop func() error, err error) {
	if err := f.bench.kafka.Create(f.topic, f.bench.few.partitions); err != nil {
		return nil, err
	}
	cfg := referee.Config()
	producer, err := sarama.NewAsyncProducer(f.bench.brokers, cfg)
	if err != nil {
		return nil, fmt.Errorf("flow: %w", err)
	}
	f.open = map[string]probe{}
	sending, quit := context.WithCancel(ctx)
	watching, done := context.WithCancel(ctx)
	var ends sync.WaitGroup
	var failed [2]error
	ends.Go(func() { failed[0] = f.send(sending, producer) })
	watched := make(chan struct{})
	go func() { defer close(watched); failed[1] = f.watch(watching) }()
	return func() error {
		quit()
		ends.Wait()
		for ctx.Err() == nil && f.waiting() > 0 {
			pause(ctx, time.Millisecond)
		}
		done()
		<-watched
		lost := f.waiting()
		if lost > 0 {
			return fmt.Errorf("%d probes never came to Redis: %w", lost, errors.Join(failed[:]...))
		}
		return errors.Join(failed[:]...)
	}, nil
}

func (f *flow) waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.open)
}

func (f *flow) send(ctx context.Context, producer sarama.AsyncProducer) error {
	where := sarama.NewMurmur2Partitioner(f.topic)
	due := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		name := keyName(rand.IntN(f.bench.few.keys))
		if i%f.every == 0 {
			name = fmt.Sprintf("probe-%d", i)
		}
		msg := &sarama.ProducerMessage{Topic: f.topic, Key: sarama.StringEncoder(name), Value: sarama.ByteEncoder(value(i))}
		if i%f.every == 0 {
			partition, err := where.Partition(msg, f.bench.few.partitions)
			if err != nil {
				return errors.Join(err, producer.Close())
			}
			f.mu.Lock()
			f.open[store+":"+name] = probe{partition: partition, sent: time.Now()}
			f.mu.Unlock()
		}
		producer.Input() <- msg
		due = due.Add(time.Second / perSecond)
		pause(ctx, time.Until(due))
	}
	return producer.Close()
}

func (f *flow) watch(ctx context.Context) error {
	var keys []string
	for ctx.Err() == nil {
		keys = keys[:0]
		f.mu.Lock()
		for key := range f.open {
			keys = append(keys, key)
		}
		f.mu.Unlock()
		err := f.bench.redis.Values(ctx, keys, func(i int, value []byte) {
			if value == nil {
				return
			}
			f.mu.Lock()
			p := f.open[keys[i]]
			p.took = time.Since(p.sent)
			f.seen = append(f.seen, p)
			delete(f.open, keys[i])
			f.mu.Unlock()
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
		pause(ctx, 300*time.Microsecond)
	}
	return nil
}

// arrived returns the probes that have come, in order of sending.
func (f *flow) arrived() []probe {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.SortedFunc(slices.Values(f.seen), func(a, b probe) int { return a.sent.Compare(b.sent) })
}

// longest returns the longest way that a probe had, of those that are asked for.
func longest(probes []probe, asked func(probe) bool) time.Duration {
	var most time.Duration
	for _, p := range probes {
		if asked(p) {
			most = max(most, p.took)
		}
	}
	return most
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
