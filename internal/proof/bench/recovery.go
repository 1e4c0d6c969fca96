//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// restore measures how fast a table comes back from its changelog, which has a
// record for each of the journal's, into an empty directory.
func restore(ctx context.Context, b *bench) (figures, error) {
	if err := b.many.prepare(b.kafka, hello); err != nil {
		return nil, err
	}
	j, clean, err := b.job("tidemark", hello, b.many.topic())
	if err != nil {
		return nil, err
	}
	defer clean()
	j.EveryChange = true
	first, err := start(j)
	if err != nil {
		return nil, err
	}
	defer first.kill()
	if _, err := b.untilFinal(ctx, first, b.many.outcome(hello)); err != nil {
		return nil, err
	}
	if _, err := first.stop(); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(j.State); err != nil {
		return nil, err
	}
	second, err := start(j)
	if err != nil {
		return nil, err
	}
	defer second.kill()
	err = second.until(ctx, func(p progress) bool { return p.State == "running" })
	took := time.Since(second.began)
	if err != nil {
		return nil, err
	}
	p := second.progress()
	// The times of records are old, so Kafka may end a segment early and have
	// compacted it: some records were replaced by later ones of their keys.
	if p.Restored < int64(b.many.records)*9/10 {
		return nil, fmt.Errorf("restored %d records of %d", p.Restored, b.many.records)
	}
	cost, err := second.stop()
	return figures{
		"records/s": float64(p.Restored) / took.Seconds(), "start → running s": took.Seconds(),
		"CPU µs/restored": cost.cpu.Seconds() * 1e6 / float64(p.Restored), "peak MiB": cost.peakMiB,
	}, err
}

// restart measures a start after a crash on the same directory, until Redis has
// the first record that was sent after the crash.
func restart(ctx context.Context, b *bench) (figures, error) {
	j, clean, err := b.job("tidemark", hello, "")
	if err != nil {
		return nil, err
	}
	defer clean()
	j.Topic = j.Application + "-journal"
	f := &flow{bench: b, topic: j.Topic, every: 5}
	stop, err := f.start(ctx)
	if err != nil {
		return nil, err
	}
	var all []figures
	for range 3 {
		one, err := f.crash(ctx, j)
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		all = append(all, one)
	}
	last, err := start(j) // takes the rest
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	defer last.kill()
	err = stop()
	_, ended := last.stop()
	return median(all), errors.Join(err, ended)
}

func (f *flow) crash(ctx context.Context, j job) (figures, error) {
	first, err := start(j)
	if err != nil {
		return nil, err
	}
	defer first.kill()
	if _, err := f.until(ctx, first, func(p probe) bool { return p.sent.After(first.began.Add(2 * time.Second)) }); err != nil {
		return nil, err
	}
	first.kill()
	killed := time.Now()
	second, err := start(j)
	if err != nil {
		return nil, err
	}
	defer second.kill()
	fresh, err := f.until(ctx, second, func(p probe) bool { return p.sent.After(killed) })
	if err != nil {
		return nil, err
	}
	pause(ctx, time.Second)
	_, err = second.stop()
	return figures{"start → Redis ms": ms(fresh.sent.Add(fresh.took).Sub(second.began))}, err
}
