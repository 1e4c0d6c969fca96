//go:build unix

package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// tidemark is the work as a program of this module would do it.
type tidemark struct {
	processor *processor.Processor
}

func newTidemark(j job) (program, error) {
	b := topology.NewBuilder(j.Application)
	journal := topology.Topic[string, state]{Name: j.Topic, Key: codec.String{}, Value: codec.JSON[state]{}}
	raw := topology.Topic[string, []byte]{Name: j.Topic, Key: codec.String{}, Value: codec.Bytes{}} // no function looks at the values
	redis := &redis.Sink{Addr: j.Redis}
	counts := topology.Store[string, int64]{Name: store}
	switch j.Work {
	case hello:
		rows := topology.Store[string, state]{Name: store, EveryChange: j.EveryChange}
		topology.Sync(topology.Materialize(b, journal, rows), redis)
	case count, publish:
		table := topology.Count(topology.Consume(b, journal), counts)
		topology.Sync(table, redis)
		if j.Work == publish {
			topology.Publish(table, topology.Topic[string, int64]{Name: j.output()})
		}
	case windowed:
		minutes := topology.Window(topology.Consume(b, journal), topology.Tumbling{Size: minute, Grace: minute})
		topology.Sync(topology.Count(minutes, topology.Store[topology.Windowed[string], int64]{Name: store}), redis)
	case joined:
		side := topology.Topic[string, []byte]{Name: j.Side, Key: codec.String{}, Value: codec.Bytes{}}
		rows := topology.Materialize(b, side, topology.Store[string, []byte]{Name: "side"})
		both := topology.Join(topology.Consume(b, raw), rows, topology.Inner(func(_ string, left, _ []byte) []byte { return left }))
		topology.Sync(topology.ToTable(both, topology.Store[string, []byte]{Name: store, Value: codec.Bytes{}}), redis)
	case repartition:
		other := topology.SelectKey(topology.Consume(b, raw), func(key string, _ []byte) string { return otherName(key) })
		through := topology.Topic[string, []byte]{Name: j.Application + "-others"}
		topology.Sync(topology.Count(topology.Repartition(other, through), counts), redis)
	}
	topo, err := b.Build()
	if err != nil {
		return nil, err
	}
	p, err := processor.New(topo, processor.Config{
		Brokers: j.Brokers, StateDir: j.State,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	return &tidemark{processor: p}, err
}

func (t *tidemark) run(ctx context.Context) error { return t.processor.Run(ctx) }

func (t *tidemark) progress() progress {
	s := t.processor.Status()
	p := progress{
		State: s.State.String(), Records: s.Counts.Records, Restored: s.Counts.Restored,
	}
	for _, task := range s.Tasks {
		p.Partitions = append(p.Partitions, task.Partition)
		for _, sink := range task.Sinks {
			p.SinkLag += sink.Lag
		}
	}
	return p
}
