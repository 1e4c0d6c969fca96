//go:build unix

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tidemark-dev/tidemark/internal/proof/referee"
	"github.com/tidemark-dev/tidemark/topology"
)

// A standstill is how long a partition gave nothing.
type standstill struct {
	Partition int32   `json:"partition"`
	Seconds   float64 `json:"seconds"`
	At        string  `json:"at"` // when it ended
}

func (s *standstill) longer(partition int32, d time.Duration, end time.Time) {
	if d.Seconds() > s.Seconds {
		*s = standstill{partition, d.Seconds(), end.Format("15:04:05")}
	}
}

func (s standstill) String() string {
	return fmt.Sprintf("%.1f s (partition %d, until %s)", s.Seconds, s.Partition, s.At)
}

// A witness reads the journal of the count beside the workers, with a plain
// consumer. Nothing can be processed before it could be read; what was longer, the
// brokers are not to blame for.
type witness struct {
	cluster *referee.Cluster
	journal string
	running sync.WaitGroup
	seen    [partitions][]arrival
}

// An arrival is when all records before an offset could be read.
type arrival struct {
	next int64
	at   time.Time
}

func newWitness(o options, l workload, run string) (*witness, error) {
	c, err := referee.Open(o.brokers)
	if err != nil {
		return nil, err
	}
	return &witness{cluster: c, journal: l.journal(run)}, nil
}

// watch notes what arrives until ctx is done.
func (w *witness) watch(ctx context.Context) {
	for p := range int32(partitions) {
		w.running.Go(func() {
			w.cluster.Follow(ctx, w.journal, p, func(next int64) {
				w.seen[p] = append(w.seen[p], arrival{next, time.Now()})
			})
		})
	}
}

// judge returns the longest time that a partition published nothing although a
// record of it could be read, and the longest that none could be read while they
// were sent. The watch is over.
func (w *witness) judge(ctx context.Context, l workload, run string) (engine, own standstill, err error) {
	w.running.Wait()
	defer w.cluster.Close()
	var in [partitions][]int64
	var out [partitions][]time.Time
	err = w.cluster.Read(ctx, w.journal, func(r topology.Raw) error {
		in[r.Partition] = append(in[r.Partition], r.Offset)
		return nil
	})
	if err != nil {
		return engine, own, err
	}
	err = w.cluster.Read(ctx, l.output(run), func(r topology.Raw) error {
		out[r.Partition] = append(out[r.Partition], r.Time)
		return nil
	})
	for p := range int32(partitions) {
		engine.ofEngine(p, in[p], out[p], w.seen[p])
		for i := 1; i < len(w.seen[p]); i++ {
			own.longer(p, w.seen[p][i].at.Sub(w.seen[p][i-1].at), w.seen[p][i].at)
		}
	}
	return engine, own, err
}

// ofEngine takes the longest standstill of a partition: in are the offsets of its
// records, out is when the broker appended what was published for each of them,
// once and in order.
func (s *standstill) ofEngine(partition int32, in []int64, out []time.Time, seen []arrival) {
	var before time.Time
	n := 0
	for i := range min(len(in), len(out)) {
		for n < len(seen) && seen[n].next <= in[i] {
			n++
		}
		if n == len(seen) {
			return // it came after the end of the watch
		}
		since := seen[n].at
		if before.After(since) {
			since = before
		}
		if i > 0 { // the first waits for the start of the workers
			s.longer(partition, out[i].Sub(since), out[i])
		}
		before = out[i]
	}
}
