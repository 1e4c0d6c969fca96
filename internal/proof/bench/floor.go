//go:build unix

package main

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/redis/go-redis/v9"
)

// floor is the least that a program can do: a consumer that writes what it reads
// into Redis, MSET by MSET. No table, no changelog; at least once, and counts
// are lost with the process.
type floor struct {
	job     job
	client  *redis.Client
	records atomic.Int64
}

func newFloor(j job) (program, error) {
	return &floor{job: j, client: redis.NewClient(&redis.Options{Addr: j.Redis})}, nil
}

func (f *floor) progress() progress { return progress{State: "running", Records: f.records.Load()} }

func (f *floor) run(ctx context.Context) error {
	defer f.client.Close()
	group, err := sarama.NewConsumerGroup(f.job.Brokers, f.job.Application, consumerConfig())
	if err != nil {
		return err
	}
	defer group.Close()
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{f.job.Topic}, f); err != nil && !errors.Is(err, sarama.ErrClosedConsumerGroup) {
			return err
		}
	}
	return nil
}

// consumerConfig returns the settings of every consumer but tidemark's.
func consumerConfig() *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Consumer.IsolationLevel = sarama.ReadCommitted
	return cfg
}

func (f *floor) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (f *floor) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim implements sarama.ConsumerGroupHandler. A batch ends at 500
// records, or when no more have come for a millisecond.
func (f *floor) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	const most = 500
	counts := map[string]uint64{}
	pairs := make([]any, 0, 2*most)
	var last *sarama.ConsumerMessage
	for {
		msg, idle, ok := next(claim, len(pairs) == 0)
		if !ok {
			return nil
		}
		if !idle {
			key, value := store+":"+string(msg.Key), msg.Value
			if f.job.Work != hello {
				counts[key]++
				value = strconv.AppendUint(nil, counts[key], 10)
			}
			pairs = append(pairs, key, value)
			last = msg
			if len(pairs) < 2*most {
				continue
			}
		}
		if err := f.client.MSet(session.Context(), pairs...).Err(); err != nil {
			return err
		}
		f.records.Add(int64(len(pairs) / 2))
		session.MarkMessage(last, "")
		pairs = pairs[:0]
	}
}

// next returns the next record. Unless it may wait, it says that there is none
// when a millisecond is over.
func next(claim sarama.ConsumerGroupClaim, wait bool) (msg *sarama.ConsumerMessage, idle, ok bool) {
	select {
	case msg, ok = <-claim.Messages():
		return msg, false, ok
	default:
	}
	var over <-chan time.Time
	if !wait {
		over = time.After(time.Millisecond)
	}
	select {
	case msg, ok = <-claim.Messages():
		return msg, false, ok
	case <-over:
		return nil, true, true
	}
}

// pause is for loops that wait for something to come.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
