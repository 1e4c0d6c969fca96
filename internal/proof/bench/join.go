//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// join measures the longest way of a record while a second instance joins the
// first, apart for the partitions that stay and for those that move.
func join(ctx context.Context, b *bench) (figures, error) {
	j, clean, err := b.job("tidemark", hello, "")
	if err != nil {
		return nil, err
	}
	defer clean()
	j.Topic = j.Application + "-journal"
	f := &flow{bench: b, topic: j.Topic, every: 2}
	stop, err := f.start(ctx)
	if err != nil {
		return nil, err
	}
	stays, comes, err := f.pair(ctx, j)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	defer stays.kill()
	defer comes.kill()
	kept, moved := stays.progress().Partitions, comes.progress().Partitions
	err = stop()
	_, one := comes.stop()
	_, two := stays.stop()
	if err := errors.Join(err, one, two); err != nil {
		return nil, err
	}
	probes := f.arrived()
	alone := func(p probe) bool { return p.sent.Before(comes.began) && p.sent.After(comes.began.Add(-3*time.Second)) }
	of := func(partitions []int32) func(probe) bool {
		return func(p probe) bool {
			return p.sent.Add(p.took).After(comes.began) && slices.Contains(partitions, p.partition)
		}
	}
	return figures{
		"alone ms": ms(longest(probes, alone)),
		"kept ms":  ms(longest(probes, of(kept))),
		"moved ms": ms(longest(probes, of(moved))),
	}, nil
}

// pair starts one instance, then another, and returns when they have shared the
// partitions and five seconds have passed.
func (f *flow) pair(ctx context.Context, j job) (stays, comes *child, err error) {
	if stays, err = start(j); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			stays.kill()
		}
	}()
	if _, err := f.until(ctx, stays, func(p probe) bool { return p.sent.After(stays.began.Add(5 * time.Second)) }); err != nil {
		return nil, nil, err
	}
	second := j
	second.State += "-second"
	defer os.RemoveAll(second.State)
	if comes, err = start(second); err != nil {
		return nil, nil, err
	}
	half := int(f.bench.few.partitions / 2)
	shared := func(p progress) bool { return p.State == "running" && len(p.Partitions) == half }
	if err := errors.Join(comes.until(ctx, shared), stays.until(ctx, shared)); err != nil {
		comes.kill()
		return nil, nil, fmt.Errorf("two instances do not share the partitions: %w", err)
	}
	pause(ctx, 5*time.Second)
	return stays, comes, nil
}
