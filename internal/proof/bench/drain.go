//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
)

// drain measures a program that empties a full journal: from the start of its
// process until Redis holds the final row of every key.
func drain(program, work string, many bool) func(context.Context, *bench) (figures, error) {
	return func(ctx context.Context, b *bench) (figures, error) {
		journal := b.few
		if many {
			journal = b.many
		}
		if err := journal.prepare(b.kafka, work); err != nil {
			return nil, err
		}
		j, clean, err := b.job(program, work, journal.topic())
		if err != nil {
			return nil, err
		}
		defer clean()
		j.Side = journal.sideTopic()
		if work == publish {
			if err := b.kafka.Create(j.output(), journal.partitions); err != nil {
				return nil, err
			}
		}
		final := journal.outcome(work)
		c, err := start(j)
		if err != nil {
			return nil, err
		}
		defer c.kill()
		took, err := b.untilFinal(ctx, c, final)
		if err != nil {
			return nil, err
		}
		cost, err := c.stop()
		if err != nil {
			return nil, err
		}
		n := float64(journal.records)
		f := figures{rate: n / took.Seconds(), cpu: cost.cpu.Seconds() * 1e6 / n, memory: cost.peakMiB}
		if f[disk], err = sizeMiB(j.State); err != nil {
			return nil, err
		}
		return f, nil
	}
}

// untilFinal waits until Redis is as it must be and returns how long that took
// since the process began. While the last records are not there it reads no others.
func (b *bench) untilFinal(ctx context.Context, c *child, final outcome) (time.Duration, error) {
	tail := make([]string, len(final.tail))
	for i, key := range final.tail {
		tail[i] = final.redisKey(key)
	}
	said := time.Now()
	for {
		at := time.Now()
		missing, err := b.different(ctx, tail, func(i int) []byte { return final.want(final.tail[i]) })
		if err != nil {
			return 0, err
		}
		if missing == 0 {
			if missing, err = b.differentAll(ctx, final); err != nil {
				return 0, err
			}
		}
		if missing == 0 {
			return at.Sub(c.began), nil
		}
		if time.Since(said) > 2*time.Second {
			said = time.Now()
			b.say("  %d records, %d behind in Redis", c.progress().Records, c.progress().SinkLag)
		}
		select {
		case <-c.done:
			return 0, fmt.Errorf("the process ended by itself: %w", errors.Join(c.ended, ctx.Err()))
		case <-ctx.Done():
			return 0, fmt.Errorf("%d keys of redis are not final: %w: the process is at %+v", missing, context.Cause(ctx), c.progress())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (b *bench) differentAll(ctx context.Context, final outcome) (int, error) {
	keys := make([]string, len(final.last))
	for row := range keys {
		keys[row] = final.redisKey(row)
	}
	return b.different(ctx, keys, final.want)
}

// different returns how many keys do not have the row that they must have.
func (b *bench) different(ctx context.Context, keys []string, want func(i int) []byte) (int, error) {
	n := 0
	err := b.redis.Values(ctx, keys, func(i int, value []byte) {
		if !bytes.Equal(value, want(i)) {
			n++
		}
	})
	return n, err
}

// sizeMiB returns how much a directory holds.
func sizeMiB(dir string) (float64, error) {
	var bytes int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	return float64(bytes) / (1 << 20), err
}
