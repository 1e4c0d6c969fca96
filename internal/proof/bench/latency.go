//go:build unix

package main

import (
	"context"
	"errors"
	"slices"
	"time"
)

// latency measures how long a record takes from its producer into Redis while
// there is little to do.
func latency(program string) func(context.Context, *bench) (figures, error) {
	return func(ctx context.Context, b *bench) (figures, error) {
		j, clean, err := b.job(program, hello, "")
		if err != nil {
			return nil, err
		}
		defer clean()
		j.Topic = j.Application + "-journal"
		f := &flow{bench: b, topic: j.Topic, every: 20}
		stop, err := f.start(ctx)
		if err != nil {
			return nil, err
		}
		c, err := start(j)
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		defer c.kill()
		warm, err := f.until(ctx, c, func(probe) bool { return true })
		if err == nil {
			pause(ctx, 13*time.Second)
		}
		if err := errors.Join(err, stop()); err != nil {
			return nil, err
		}
		if _, err := c.stop(); err != nil {
			return nil, err
		}
		var ways []time.Duration
		for _, p := range f.arrived() {
			if p.sent.After(warm.sent.Add(warm.took + 3*time.Second)) { // the start's backlog is not low load
				ways = append(ways, p.took)
			}
		}
		if len(ways) == 0 {
			return nil, errors.New("no probe was sent after the start")
		}
		slices.Sort(ways)
		return figures{
			"p50 ms": ms(ways[len(ways)/2]), "p99 ms": ms(ways[len(ways)*99/100]), "most ms": ms(ways[len(ways)-1]),
		}, nil
	}
}

// until waits for the first probe that is asked for to arrive, while the process lives.
func (f *flow) until(ctx context.Context, c *child, asked func(probe) bool) (found probe, err error) {
	err = c.until(ctx, func(progress) bool {
		for _, p := range f.arrived() {
			if asked(p) {
				found = p
				return true
			}
		}
		return false
	})
	return found, err
}
