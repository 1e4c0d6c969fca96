package processor_test

import (
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/topology"
)

const hellosLog = "hello-hello-state-store-table"

// A brake holds up the Fetch requests for partitions of the changelog, which
// for all that a restore can see have an open transaction. Else it lets one
// batch through at a time.
type brake struct {
	mu      sync.Mutex
	held    map[int32]bool
	fetches int
}

// restoring is a cluster whose changelog of hellos has many batches, overwritten
// rows and tombstones, and the state directory of the instance that wrote it.
func restoring(t *testing.T, brokers int) (c *cluster, b *brake, dir string) {
	t.Helper()
	c = newCluster(t, brokers)
	c.create(journal.Name, 4, nil)
	i := c.start(c.hello(), nil)
	for round := range 12 {
		c.produce(journal.Name, greetings(60, 20+round)...)
		c.produce(journal.Name, topology.Raw{Key: greeting(round, 0).Key}, topology.Raw{Key: greeting(round+5, 0).Key})
		c.drained("hello-"+hellos.Name, journal.Name)
	}
	c.materialized(i)
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	b = &brake{held: map[int32]bool{}}
	c.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		held := b.control(r.(*kmsg.FetchRequest))
		if held != nil {
			c.SleepControl(func() { time.Sleep(20 * time.Millisecond) })
			return held, nil, true
		}
		return nil, nil, false
	})
	return c, b, i.dir
}

func (b *brake) control(req *kmsg.FetchRequest) kmsg.Response {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(req.Topics) != 1 || req.Topics[0].Topic != hellosLog {
		return nil
	}
	b.fetches++
	p := &req.Topics[0].Partitions[0]
	p.PartitionMaxBytes = 1 // kfake forgets the aborted transactions if MaxBytes is what ends an answer
	if !b.held[p.Partition] {
		return nil
	}
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	answer := kmsg.NewFetchResponseTopicPartition()
	answer.RecordBatches = []byte{} // not null
	answer.Partition, answer.LastStableOffset, answer.HighWatermark = p.Partition, p.FetchOffset, p.FetchOffset+1
	topic := kmsg.NewFetchResponseTopic()
	topic.Topic, topic.Partitions = hellosLog, []kmsg.FetchResponseTopicPartition{answer}
	resp.Topics = append(resp.Topics, topic)
	return resp
}

// hold holds up partitions, release lets all go.
func (b *brake) hold(partitions ...int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range partitions {
		b.held[p] = true
	}
}

func (b *brake) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.held)
}

// fetched returns how many fetches of the changelog there were.
func (b *brake) fetched() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fetches
}
