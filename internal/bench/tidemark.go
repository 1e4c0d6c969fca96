//go:build unix

package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/sinks"
	"github.com/tidemark-dev/tidemark/topology"
)

// tidemark is the work as a program of this module would do it.
type tidemark struct {
	processor *processor.Processor
}

func newTidemark(j job) (program, error) {
	b := topology.NewBuilder(j.Application)
	journal := topology.Topic[string, state]{Name: j.Topic, Key: codec.String{}, Value: codec.JSON[state]{}}
	redis := &sinks.Redis{Addr: j.Redis}
	if j.Work == hello {
		rows := topology.Store[string, state]{Name: store, EveryChange: j.EveryChange}
		topology.Sync(topology.Materialize(b, journal, rows), redis)
	} else {
		counts := topology.Count(topology.Consume(b, journal), topology.Store[string, int64]{Name: store})
		topology.Sync(counts, redis)
		if j.Work == publish {
			topology.Publish(counts, topology.Topic[string, int64]{Name: j.output()})
		}
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
