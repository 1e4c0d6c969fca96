//go:build unix

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidemark-dev/tidemark/internal/proof/referee"
)

const partitions = 4

// test is one run, from the empty topics to the verdict.
func test(ctx context.Context, o options) error {
	if o.cluster != "" {
		out, err := exec.Command(o.cluster, "start").Output()
		if err != nil {
			return fmt.Errorf("%s start: %w", o.cluster, err)
		}
		o.brokers, o.kafkaScript = strings.Split(strings.TrimSpace(string(out)), ","), ""
	}
	var missing []string
	o.kinds, missing = without(o.kinds, map[string]string{"kafka": o.kafkaScript, "cluster": o.cluster, "redis": o.redisScript})
	if len(missing) > 0 {
		say("no %s: there is no script for the server (-kafka-script, -redis-script)", strings.Join(missing, ", "))
	}
	if len(o.kinds) == 0 {
		return errors.New("there is no fault left to make")
	}
	var faults []fault
	faults, o.length = o.schedule()
	run := fmt.Sprintf("tidemark-crash-%d", time.Now().UnixMilli())
	say("%s: seed %d, %d records in %v, %d faults", run, o.seed, o.records, o.length.Round(time.Second), len(faults))
	target := referee.Dial(o.redis)
	defer target.Close()
	if err := target.Claim(ctx, o.flush); err != nil {
		return err
	}
	if err := createTopics(o, run); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", run+"-")
	if err != nil {
		return err
	}
	through, err := newProxy(o.redis)
	if err != nil {
		return err
	}
	defer through.close()
	kafka := &server{script: cmp.Or(o.cluster, o.kafkaScript)}
	f, err := newFleet(o, run, dir, through.addr(), kafka)
	if err != nil {
		return err
	}
	defer f.close(true)
	s := &storm{
		fleet: f, proxy: through, client: target.Client, made: map[string]int{},
		run: run, brokers: o.brokers,
		kafka: kafka, redis: &server{script: o.redisScript},
	}
	r := &result{Run: run, Seed: o.seed, NotMade: missing, Faults: s.made, Dir: dir}
	if err := r.play(ctx, o, s, target, faults); err != nil {
		return fmt.Errorf("%w (tables and logs: %s)", err, dir)
	}
	bad := r.bad()
	if bad || o.keep {
		say("kept: tables and logs in %s, topics %s-*", dir, run)
	} else if err := cleanUp(o, run, dir); err != nil {
		say("clean up: %v", err)
	}
	if err := r.print(os.Stdout, o.asJSON); err != nil {
		return err
	}
	if bad {
		return fmt.Errorf("promises are broken; again with -seed %d", o.seed)
	}
	return nil
}

// play runs producer, watcher and storm, waits until everything has settled,
// and judges.
func (r *result) play(ctx context.Context, o options, s *storm, target *referee.Target, faults []fault) error {
	p := newProducer(o, r.Run)
	if err := p.open(); err != nil {
		return err
	}
	var strange *oddProducer
	var seen *witness
	var err error
	if o.program.odd {
		if strange, err = newOddProducer(o, r.Run); err != nil {
			return err
		}
	}
	counting := slices.IndexFunc(o.workloads, func(l workload) bool { return l.publishes })
	if counting >= 0 {
		if seen, err = newWitness(o, o.workloads[counting], r.Run); err != nil {
			return err
		}
	}
	w := newWatcher(target.Client, p)
	for _, one := range s.fleet.workers {
		if err := one.start(); err != nil {
			return err
		}
	}
	began := time.Now()
	watching, stopWatching := context.WithCancel(ctx)
	telling, stopTelling := context.WithCancel(ctx)
	var background, work sync.WaitGroup
	background.Go(func() { w.watch(watching) })
	background.Go(func() { tell(telling, p, w, s) })
	work.Go(func() { p.produce(ctx) })
	if strange != nil {
		work.Go(func() { strange.produce(ctx) })
	}
	if seen != nil {
		seen.watch(watching)
	}
	raged := s.rage(ctx, faults)
	work.Wait()
	stopTelling()
	r.Seconds = time.Since(began).Seconds()
	err = errors.Join(raged, context.Cause(ctx))
	if err == nil {
		err = r.settle(ctx, o, s, target)
	}
	stopWatching()
	background.Wait()
	if seen != nil && err == nil {
		limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		r.Standstill, r.JournalStandstill, err = seen.judge(limited, o.workloads[counting], r.Run)
	}
	r.StepsBack, r.Back, r.Watched = w.result()
	r.Lives, r.Exits = s.fleet.lived()
	r.Late, r.Unknown = s.proxy.late.Load(), p.lost.Load()
	return err
}

// tell says every two seconds how far the run is.
func tell(ctx context.Context, p *producer, w *watcher, s *storm) {
	for sleep(ctx, 2*time.Second); ctx.Err() == nil; sleep(ctx, 2*time.Second) {
		back, _, reads := w.result()
		lives, exits := s.fleet.lived()
		s.mu.Lock()
		made := fmt.Sprint(s.made)
		s.mu.Unlock()
		say("%d records, faults %s, %d lives, %d exits, %d rows watched, %d steps back", p.sent.Load(), made[3:], lives, len(exits), reads, back)
	}
}

func createTopics(o options, run string) error {
	c, err := referee.Open(o.brokers)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, l := range o.workloads {
		if err := c.Create(l.journal(run), partitions); err != nil {
			return err
		}
		if l.publishes {
			if err := c.Create(l.output(run), partitions, "message.timestamp.type", "LogAppendTime"); err != nil { // for the witness
				return err
			}
		}
	}
	if o.program.odd {
		for _, d := range oddities {
			if err := c.Create(d.journal(run), partitions, "max.message.bytes", "1048588"); err != nil {
				return err
			}
		}
	}
	if !o.shop {
		return nil
	}
	s := newShop(run)
	for _, topic := range slices.Concat(s.Inputs(), s.Outputs()) {
		if err := c.Create(topic, partitions); err != nil {
			return err
		}
	}
	return nil
}

func cleanUp(o options, run, dir string) error {
	c, err := referee.Open(o.brokers)
	if err != nil {
		return err
	}
	defer c.Close()
	target := referee.Dial(o.redis)
	defer target.Close()
	return errors.Join(c.Drop(run), os.RemoveAll(dir), target.Claim(context.Background(), true))
}

func (f *fleet) lived() (lives int, exits []string) {
	for _, w := range f.workers {
		w.mu.Lock()
		lives += w.lives
		w.mu.Unlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return lives, f.exits
}

// say writes a line of progress.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}
