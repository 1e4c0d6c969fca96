//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/tidemark-dev/tidemark/internal/proof/referee"
)

// bench has what every measure needs.
type bench struct {
	brokers   []string
	redisAddr string
	flush     bool
	profile   string
	patience  time.Duration
	few, many journal // with 10,000 keys and with 1,000,000

	kafka *referee.Cluster
	redis *referee.Target
	now   string // the measure that runs
	jobs  int
}

// figures are what one run of a measure has found, by name.
type figures map[string]float64

// A measure is one line of the result.
type measure struct {
	name, about string
	run         func(context.Context, *bench) (figures, error)
	floor, goka string // the peers that do the same work
}

// Names of figures that a drain has.
const (
	rate   = "records/s"
	cpu    = "CPU µs/record"
	memory = "peak MiB"
	disk   = "state MiB" // what the local tables take
)

var measures = []measure{
	{"hello", "tidemark: journal → table → Redis, 10,000 keys", drain("tidemark", hello, false), "floor-hello", "goka-hello"},
	{"count", "tidemark: journal → count of each key → Redis, 10,000 keys", drain("tidemark", count, false), "floor-count", "goka-count"},
	{"publish", "count, and every count a record of an output topic", drain("tidemark", publish, false), "floor-count", "goka-count"},
	{"windowed", "tidemark: journal → count of each key in each minute → Redis", drain("tidemark", windowed, false), "floor-count", "goka-count"},
	{"joined", "tidemark: journal joined with a table of 10,000 rows → table → Redis", drain("tidemark", joined, false), "floor-hello", "goka-hello"},
	{"repartition", "tidemark: journal → other keys → repartition topic → count → Redis", drain("tidemark", repartition, false), "floor-count", "goka-count"},
	{"hello-1m", "hello with 1,000,000 keys", drain("tidemark", hello, true), "floor-hello-1m", ""},
	{"count-1m", "count with 1,000,000 keys", drain("tidemark", count, true), "floor-count-1m", ""},
	{"floor-hello", "consumer → MSET: no table, no changelog", drain("floor", hello, false), "floor-hello", "goka-hello"},
	{"floor-count", "consumer → count in memory → MSET", drain("floor", count, false), "floor-count", "goka-count"},
	{"floor-hello-1m", "floor-hello with 1,000,000 keys", drain("floor", hello, true), "floor-hello-1m", ""},
	{"floor-count-1m", "floor-count with 1,000,000 keys", drain("floor", count, true), "floor-count-1m", ""},
	{"goka-hello", "goka: group table, SET in the callback", drain("goka", hello, false), "floor-hello", "goka-hello"},
	{"goka-count", "goka: count in the group table, SET in the callback", drain("goka", count, false), "floor-count", "goka-count"},
	{"goka-deferred-hello", "goka: group table, MSET with deferred commits", drain("goka-deferred", hello, false), "floor-hello", "goka-hello"},
	{"goka-deferred-count", "goka: count, MSET with deferred commits", drain("goka-deferred", count, false), "floor-count", "goka-count"},
	{"latency", "tidemark: record → Redis at 1,000 records/s", latency("tidemark"), "", ""},
	{"floor-latency", "the same of the floor", latency("floor"), "", ""},
	{"goka-latency", "the same of goka", latency("goka"), "", ""},
	{"restore", "changelog → empty state directory", restore, "", ""},
	{"restart", "kill -9, same state directory → first new record in Redis", restart, "", ""},
	{"join", "pause of partitions while a second instance joins", join, "", ""},
}

// A finding is the median of all runs of a measure.
type finding struct {
	measure
	runs    int
	figures figures
}

// repeat does all measures, then all again, so that a slow minute of the machine
// is not one measure's misfortune.
func (b *bench) repeat(ctx context.Context, chosen []measure, runs int) ([]finding, error) {
	results := map[string][]figures{}
	var failed []error
	for run := range runs {
		for _, m := range chosen {
			if ctx.Err() != nil {
				break
			}
			b.now = m.name
			b.say("%s %d/%d", m.name, run+1, runs)
			f, err := b.once(ctx, m)
			if err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", m.name, err))
				b.say("  %v", err)
				continue
			}
			b.say("  %s", f)
			results[m.name] = append(results[m.name], f)
		}
	}
	var found []finding
	for _, m := range chosen {
		if r := results[m.name]; len(r) > 0 {
			found = append(found, finding{m, len(r), median(r)})
		}
	}
	return found, errors.Join(failed...)
}

func (b *bench) once(ctx context.Context, m measure) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, b.patience)
	defer cancel()
	if err := b.redis.Claim(ctx, true); err != nil {
		return nil, err
	}
	return m.run(ctx, b)
}

// job returns a job of a new application and what removes all that is left of it.
func (b *bench) job(program, work, topic string) (job, func(), error) {
	dir, err := os.MkdirTemp("", "tidemark-bench-")
	if err != nil {
		return job{}, nil, err
	}
	b.jobs++
	j := job{
		Program: program, Work: work, Topic: topic, Partitions: b.few.partitions,
		Application: fmt.Sprintf("tidemark-bench-app-%d-%d", time.Now().UnixMilli(), b.jobs),
		Brokers:     b.brokers, Redis: b.redisAddr, State: dir,
	}
	if b.profile != "" {
		j.Profile = b.profile + "." + b.now
	}
	return j, func() {
		if err := errors.Join(b.kafka.Drop(j.Application), os.RemoveAll(dir)); err != nil {
			b.say("  clean up: %v", err)
		}
	}, nil
}

// median returns the median of each figure.
func median(runs []figures) figures {
	m := figures{}
	for name := range runs[0] {
		var all []float64
		for _, r := range runs {
			all = append(all, r[name])
		}
		slices.Sort(all)
		m[name] = (all[(len(all)-1)/2] + all[len(all)/2]) / 2
	}
	return m
}

// say writes a line of progress.
func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
