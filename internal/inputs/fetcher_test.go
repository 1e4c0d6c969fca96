package inputs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/internal/kafka"
)

const (
	topic    = "journal"
	patience = 20 * time.Second
)

// A reading is a Fetcher on a cluster of three brokers, each of which leads one
// partition, and what it was told.
type reading struct {
	*testing.T
	cluster *kfake.Cluster
	fetcher *Fetcher
	inputs  []*Input
	news    chan struct{}

	mu    sync.Mutex
	told  []error
	fatal func(error) error
}

func newReading(t *testing.T) *reading {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(3, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	r := &reading{T: t, cluster: c, news: make(chan struct{}, 1), fatal: func(error) error { return nil }}
	for p := range int32(3) {
		r.move(p, p)
	}
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	client, err := sarama.NewClient(c.ListenAddrs(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.fetcher = NewFetcher(client, func(_ *Input, err error, _ time.Time) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, err)
		return r.fatal(err)
	})
	t.Cleanup(func() {
		c.Close() // whoever waits for a broker has an answer
		_ = client.Close()
		r.fetcher.Close()
	})
	for p := range int32(3) {
		in := New(topic, p, -1, func() { ring(r.news) })
		in.Start(0)
		r.inputs = append(r.inputs, in)
	}
	return r
}

func (r *reading) move(partition, broker int32) {
	r.Helper()
	if err := r.cluster.MoveTopicPartition(topic, partition, broker); err != nil {
		r.Fatal(err)
	}
}

func (r *reading) add() {
	for _, in := range r.inputs {
		r.fetcher.Add(in)
	}
}

// write writes n records to a partition.
func (r *reading) write(partition int32, n, size int) {
	r.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		r.Fatal(err)
	}
	defer client.Close()
	var records []*kgo.Record
	for range n {
		value := make([]byte, size)
		for i := range value {
			value[i] = byte(rand.N(256)) // nothing that can be compressed
		}
		records = append(records, &kgo.Record{Topic: topic, Partition: partition, Value: value})
	}
	if err := client.ProduceSync(r.Context(), records...).FirstErr(); err != nil {
		r.Fatal(err)
	}
}

// take takes records of a partition until it is at an offset: each is the next one.
func (r *reading) take(partition int32, until int64) {
	r.Helper()
	m := &Merge{Inputs: r.inputs[partition : partition+1]}
	over := time.After(patience)
	for m.Inputs[0].Next() < until {
		if ready, _ := m.Ready(time.Now()); !ready {
			select {
			case <-r.news:
			case <-time.After(10 * time.Millisecond): // news of another input
			case <-over:
				r.Fatalf("partition %d: at %d after %v, want %d; told %v", partition, m.Inputs[0].Next(), patience, until, r.errors())
			}
			continue
		}
		in := m.Next()
		if at := in.Record().Offset; at != in.next {
			r.Fatalf("partition %d: offset %d comes after %d", partition, at, in.next-1)
		}
		in.Pass()
	}
}

func (r *reading) errors() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told
}

// What each broker leads is read, and goes on where it is led from then on.
func TestFetcherFollowsLeaders(t *testing.T) {
	t.Parallel()
	r := newReading(t)
	for p := range int32(3) {
		r.write(p, 1000, 10)
	}
	r.add()
	for p := range int32(3) {
		r.take(p, 1000)
	}
	for round := range int32(3) {
		for p := range int32(3) {
			r.move(p, (p+round+1)%3)
			r.write(p, 100, 10)
		}
		for p := range int32(3) {
			r.take(p, 1100+100*int64(round))
		}
	}
	told := r.errors()
	if len(told) == 0 || told[len(told)-1] != nil {
		t.Errorf("told %v, want that the leaders had moved and that all can be read", told)
	}
	for _, in := range r.inputs {
		in.Committed()
		if lag := in.Lag(); lag != 0 {
			t.Errorf("the lag of %s is %d", in, lag)
		}
	}
}

// A broker that does not answer concerns its own inputs only, and these no longer
// once another one leads them.
func TestFetcherWaitsForNoOther(t *testing.T) {
	t.Parallel()
	r := newReading(t)
	r.add()
	for p := range int32(3) {
		r.write(p, 10, 10)
		r.take(p, 10)
	}
	var hangs atomic.Bool
	free := make(chan struct{})
	defer close(free)
	r.cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		if r.cluster.CurrentNode() == 0 && hangs.Load() {
			r.cluster.SleepControl(func() { <-free })
		}
		return nil, nil, false
	})
	hangs.Store(true)
	for p := int32(1); p < 3; p++ {
		r.write(p, 1000, 10)
		r.take(p, 1010)
	}
	began := time.Now()
	r.move(0, 1)
	r.write(0, 10, 10)
	r.take(0, 20)
	t.Logf("partition 0 is read %v after its leader has moved", time.Since(began).Round(time.Millisecond))
}

// An older lead is not followed while a broker that stood still may have told of it, and
// is when that goes on: the topic was made anew.
func TestFetcherFollowsNoOldLead(t *testing.T) {
	t.Parallel()
	r := newReading(t)
	in := r.inputs[0]
	r.fetcher.mu.Lock()
	r.fetcher.inputs[in] = true
	in.leader, in.epoch = 2, 5
	r.fetcher.mu.Unlock()
	leads := func() int32 {
		r.fetcher.mu.Lock()
		defer r.fetcher.mu.Unlock()
		return in.leader
	}
	r.fetcher.lead(kafka.Leader{Broker: 0, Epoch: 4}, in)
	if got := leads(); got != 2 {
		t.Errorf("broker %d leads by an older epoch", got)
	}
	r.fetcher.mu.Lock()
	in.failed, in.since = 3, time.Now().Add(-StaleLeader)
	r.fetcher.mu.Unlock()
	r.fetcher.lead(kafka.Leader{Broker: 0, Epoch: 0}, in)
	if got := leads(); got != 0 || in.epoch != 0 {
		t.Errorf("broker %d leads in epoch %d, want 0 in epoch 0", got, in.epoch)
	}
}

// Two answers of an input are in memory, however much there is: who processes one
// holds up nobody else.
func TestFetcherIsBounded(t *testing.T) {
	t.Parallel()
	r := newReading(t)
	for p := range int32(3) {
		r.move(p, 0)
	}
	r.write(0, 4000, 1000)
	r.add()
	r.write(1, 10, 10)
	r.take(1, 10)
	deadline := time.Now().Add(patience)
	for !r.inputs[0].full() && time.Now().Before(deadline) {
		<-r.news
	}
	for n := range int64(20) { // requests for others do not add to it
		r.write(2, 10, 10)
		r.take(2, 10*n+10)
	}
	queued := 0
	for _, b := range r.inputs[0].queue {
		queued += b.Len()
	}
	if queued == 0 || queued > 1200 {
		t.Errorf("%d records of 1 kB are queued, want one answer's: 256 KiB, or a batch", queued)
	}
	r.take(0, 4000)
}

// An input that its user gives up is not read any more.
func TestFetcherGivesUp(t *testing.T) {
	t.Parallel()
	r := newReading(t)
	refused := errors.New("refused")
	r.fatal = func(error) error { return refused }
	r.inputs[1].Start(1000) // beyond the end
	r.add()
	r.write(0, 10, 10)
	r.take(0, 10)
	deadline := time.Now().Add(patience)
	for len(r.errors()) == 0 && time.Now().Before(deadline) {
		<-time.After(time.Millisecond)
	}
	if told := r.errors(); len(told) != 1 || !errors.Is(told[0], sarama.ErrOffsetOutOfRange) {
		t.Errorf("told %v", told)
	}
	r.fetcher.mu.Lock()
	defer r.fetcher.mu.Unlock()
	if r.fetcher.inputs[r.inputs[1]] || !r.fetcher.inputs[r.inputs[0]] {
		t.Errorf("it reads %v", fmt.Sprint(r.fetcher.inputs))
	}
}
