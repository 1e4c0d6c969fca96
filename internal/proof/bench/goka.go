//go:build unix

package main

import (
	"context"
	"encoding/binary"
	"hash"
	"io"
	"log"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
	"github.com/redis/go-redis/v9"

	"github.com/tidemark-dev/tidemark/topology"
)

// gokaPeer is the same work as a plain goka processor: a group table, and each
// update written to Redis in the callback, one by one or, deferred, in batches
// whose records are committed when Redis has them.
type gokaPeer struct {
	job       job
	client    *redis.Client
	records   atomic.Int64
	processor *goka.Processor
	batch     *deferred // nil without
}

func newGoka(j job) (program, error) {
	g := &gokaPeer{job: j, client: redis.NewClient(&redis.Options{Addr: j.Redis})}
	if j.Program == "goka-deferred" {
		g.batch = &deferred{client: g.client, records: &g.records}
	}
	cfg := consumerConfig()
	cfg.Producer.Return.Successes = true
	cfg.Producer.Flush.Frequency = 5 * time.Millisecond
	topics := goka.NewTopicManagerConfig()
	topics.Table.Replication = 1
	graph := goka.DefineGroup(goka.Group(j.Application),
		goka.Input(goka.Stream(j.Topic), new(codec.Bytes), g.callback),
		goka.Persist(new(codec.Bytes)))
	quiet := log.New(io.Discard, "", 0)
	var err error
	g.processor, err = goka.NewProcessor(j.Brokers, graph,
		goka.WithConsumerGroupBuilder(goka.ConsumerGroupBuilderWithConfig(cfg)),
		goka.WithConsumerSaramaBuilder(goka.SaramaConsumerBuilderWithConfig(cfg)),
		goka.WithProducerBuilder(goka.ProducerBuilderWithConfig(producerConfig(cfg))),
		goka.WithTopicManagerBuilder(goka.TopicManagerBuilderWithConfig(cfg, topics)),
		goka.WithStorageBuilder(storage.DefaultBuilder(j.State)),
		goka.WithHasher(func() hash.Hash32 { return &javaHash{} }),
		goka.WithLogger(quiet))
	return g, err
}

func producerConfig(cfg *sarama.Config) *sarama.Config {
	c := *cfg
	c.Producer.Partitioner = sarama.NewMurmur2Partitioner
	return &c
}

func (g *gokaPeer) progress() progress {
	return progress{State: "running", Records: g.records.Load()}
}

func (g *gokaPeer) run(ctx context.Context) error {
	defer g.client.Close()
	if g.batch != nil {
		go g.batch.flushOften(ctx)
	}
	return g.processor.Run(ctx)
}

func (g *gokaPeer) callback(ctx goka.Context, msg any) {
	row := msg.([]byte)
	shown := row
	if g.job.Work != hello {
		n := uint64(0)
		if old := ctx.Value(); old != nil {
			n = binary.BigEndian.Uint64(old.([]byte))
		}
		row = binary.BigEndian.AppendUint64(nil, n+1)
		shown = strconv.AppendUint(nil, n+1, 10)
	}
	ctx.SetValue(row)
	key := store + ":" + ctx.Key()
	if g.batch != nil {
		g.batch.add(key, shown, ctx.DeferCommit())
		return
	}
	if err := g.client.Set(ctx.Context(), key, shown, 0).Err(); err != nil {
		ctx.Fail(err)
	}
	g.records.Add(1)
}

// deferred collects rows of all partitions for one MSET.
type deferred struct {
	client  *redis.Client
	records *atomic.Int64

	mu    sync.Mutex
	pairs []any
	done  []func(error)
}

func (d *deferred) add(key string, row []byte, done func(error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pairs = append(d.pairs, key, row)
	d.done = append(d.done, done)
	if len(d.done) >= 500 {
		d.flush()
	}
}

func (d *deferred) flushOften(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, 5*time.Millisecond)
		d.mu.Lock()
		d.flush()
		d.mu.Unlock()
	}
}

func (d *deferred) flush() {
	if len(d.done) == 0 {
		return
	}
	err := d.client.MSet(context.Background(), d.pairs...).Err()
	for _, done := range d.done {
		done(err)
	}
	d.records.Add(int64(len(d.done)))
	d.pairs, d.done = d.pairs[:0], d.done[:0]
}

// javaHash makes goka look for a row where Java's default partitioner, which
// filled the journal, puts it.
type javaHash struct{ key []byte }

func (h *javaHash) Write(p []byte) (int, error) { h.key = append(h.key, p...); return len(p), nil }
func (h *javaHash) Sum32() uint32               { return uint32(topology.Partition(h.key, math.MaxInt32)) }
func (h *javaHash) Reset()                      { h.key = h.key[:0] }
func (h *javaHash) Sum([]byte) []byte           { return nil }
func (h *javaHash) Size() int                   { return 4 }
func (h *javaHash) BlockSize() int              { return 1 }
