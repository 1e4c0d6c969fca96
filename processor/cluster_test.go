package processor_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/internal/kafka/kafkatest"
	"github.com/tidemark-dev/tidemark/processor"
	redissink "github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// The harness of the tests that run a processor: a cluster has Kafka and Redis
// in this process, makes records and reads what came of them with a client that
// shares nothing with the engine; an instance is one processor at work.
//
//	c := newCluster(t, 1)
//	c.create(journal.Name, 4, nil)
//	c.produce(journal.Name, greetings(1000, 50)...)
//	i := c.start(c.count(), nil)
//	c.counted(i)         // waits, and compares everything with the journal
//	if err := i.stop(); err != nil { ... }

// TestMain lets the test binary be a worker process as well.
func TestMain(m *testing.M) {
	if spec := os.Getenv(workerVariable); spec != "" {
		os.Exit(work(spec))
	}
	os.Exit(m.Run())
}

type hello struct {
	State string `json:"state"`
	Count int64  `json:"helloCount"`
	Total int64  `json:"helloTotalCount"`
}

var (
	journal = topology.Topic[string, hello]{Name: "hello-log-store", Key: codec.String{}, Value: codec.JSON[hello]{}}
	hellos  = topology.Store[string, hello]{Name: "hello-state-store"}
	counted = topology.Store[string, int64]{Name: "hello-count-store", Key: codec.String{}, Value: codec.JSON[int64]{}}
	counts  = topology.Topic[string, int64]{Name: "hello-counts", Key: codec.String{}, Value: codec.JSON[int64]{}}
)

// helloTopology keeps the last value of each key, and copies it to Redis.
func helloTopology(t testing.TB, redis string) *topology.Topology {
	b := topology.NewBuilder("hello")
	topology.Sync(topology.Materialize(b, journal, hellos), &redissink.Sink{Addr: redis})
	return build(t, b)
}

// countTopology counts the records of each key, publishes every count and copies
// the last ones to Redis.
func countTopology(t testing.TB, redis string) *topology.Topology { return prefixedCount(t, redis, "") }

func prefixedCount(t testing.TB, redis, prefix string) *topology.Topology {
	journal, counted, counts := journal, counted, counts
	for _, name := range []*string{&journal.Name, &counted.Name, &counts.Name} {
		*name = prefix + *name
	}
	b := topology.NewBuilder(prefix + "count")
	table := topology.Count(topology.Consume(b, journal), counted)
	topology.Publish(table, counts)
	topology.Sync(table, &redissink.Sink{Addr: redis})
	return build(t, b)
}

func build(t testing.TB, b *topology.Builder) *topology.Topology {
	t.Helper()
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// A cluster is a Kafka and a Redis. They end with the test.
type cluster struct {
	*kfake.Cluster
	real    *real // instead, if it is set
	t       testing.TB
	redis   *miniredis.Miniredis
	network *kafkatest.Network // between the brokers and all clients
	client  *kgo.Client
}

// newCluster starts Kafka with some brokers and no topics. It allows sessions
// of 3 seconds.
func newCluster(t testing.TB, brokers int, opts ...kfake.Opt) *cluster {
	t.Helper()
	c := &cluster{t: t, redis: miniredis.RunT(t), network: kafkatest.NewNetwork()}
	var err error
	c.Cluster, err = kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(brokers), kfake.ListenFn(c.network.Listen), kfake.GroupMinSessionTimeout(time.Second),
		kfake.SleepOutOfOrder(), // in order, controls that sleep race with each other within kfake
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.client = c.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	return c
}

func (c *cluster) newClient(opts ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, opts...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(client.Close)
	return client
}

func (c *cluster) hello() *topology.Topology { return helloTopology(c.t, c.redis.Addr()) }
func (c *cluster) count() *topology.Topology { return countTopology(c.t, c.redis.Addr()) }

// create creates a topic.
func (c *cluster) create(topic string, partitions int32, config map[string]string) {
	c.t.Helper()
	if err := c.CreateTopic(topic, partitions, config); err != nil {
		c.t.Fatal(err)
	}
}

// records gives each record its key's partition, by murmur2 as Java does.
func (c *cluster) records(topic string, raws []topology.Raw) []*kgo.Record {
	n := int32(len(c.PartitionInfos(topic)))
	var records []*kgo.Record
	for _, r := range raws {
		record := &kgo.Record{
			Topic: topic, Partition: topology.Partition(r.Key, n), Key: r.Key, Value: r.Value, Timestamp: r.Time,
		}
		for _, h := range r.Headers {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		records = append(records, record)
	}
	return records
}

// produce appends records to a topic, each to its key's partition, and returns
// when they are there.
func (c *cluster) produce(topic string, raws ...topology.Raw) {
	c.t.Helper()
	if err := c.client.ProduceSync(context.Background(), c.records(topic, raws)...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// transaction appends records in a transaction and ends it.
func (c *cluster) transaction(commit kgo.TransactionEndTry, topic string, raws ...topology.Raw) {
	c.t.Helper()
	client := c.open(topic, raws...)
	if err := client.EndTransaction(context.Background(), commit); err != nil {
		c.t.Fatal(err)
	}
	client.Close()
}

// open appends records in a transaction that is left open.
func (c *cluster) open(topic string, raws ...topology.Raw) *kgo.Client {
	c.t.Helper()
	client := c.newClient(kgo.TransactionalID(fmt.Sprintf("test-%d", time.Now().UnixNano())),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionTimeout(10*time.Minute))
	if err := client.BeginTransaction(); err != nil {
		c.t.Fatal(err)
	}
	if err := client.ProduceSync(context.Background(), c.records(topic, raws)...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
	return client
}

// read returns the committed records of a topic, partition by partition, up to
// its end. It waits for transactions that are still open.
func (c *cluster) read(topic string) []topology.Raw {
	c.t.Helper()
	places := map[int32]kgo.Offset{}
	ends, next := map[int32]int64{}, map[int32]int64{}
	for _, p := range c.PartitionInfos(topic) {
		places[p.Partition] = kgo.NewOffset().AtStart()
		next[p.Partition], ends[p.Partition] = p.LogStartOffset, p.HighWatermark
	}
	client := c.newClient(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: places}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	byPartition := map[int32][]topology.Raw{}
	missing := func() bool {
		for p, end := range ends {
			if next[p] < end {
				return true
			}
		}
		return false
	}
	for missing() { // markers are read as well, and compaction keeps a log's last batch
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			c.t.Fatalf("topic %s: read up to %v of %v: is a transaction still open?", topic, next, ends)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next[r.Partition] = r.Offset + 1
			if r.Attrs.IsControl() {
				return
			}
			raw := topology.Raw{
				Key: r.Key, Value: r.Value, Time: r.Timestamp,
				Position: topology.Position{Topic: topic, Partition: r.Partition, Offset: r.Offset},
			}
			for _, h := range r.Headers {
				raw.Headers = append(raw.Headers, topology.Header{Key: h.Key, Value: h.Value})
			}
			byPartition[r.Partition] = append(byPartition[r.Partition], raw)
		})
	}
	var raws []topology.Raw
	for _, p := range slices.Sorted(maps.Keys(byPartition)) {
		raws = append(raws, byPartition[p]...)
	}
	return raws
}

// lastValues are the rows that a changelog stands for.
func lastValues(raws []topology.Raw) map[string]string {
	rows := map[string]string{}
	for _, r := range raws {
		if r.Value == nil {
			delete(rows, string(r.Key))
		} else {
			rows[string(r.Key)] = string(r.Value)
		}
	}
	return rows
}

// redisRows are the rows that Redis holds of a store.
func (c *cluster) redisRows(store string) map[string]string {
	rows := map[string]string{}
	for _, key := range c.redis.Keys() {
		if name, ok := strings.CutPrefix(key, store+":"); ok {
			rows[name], _ = c.redis.Get(key)
		}
	}
	return rows
}

// drained waits until a group has committed everything in a topic, and returns
// the topic's records.
func (c *cluster) drained(group, topic string) []topology.Raw {
	c.t.Helper()
	input := c.read(topic)
	goal := map[int32]int64{}
	for _, r := range input {
		goal[r.Partition] = r.Offset + 1
	}
	eventually(c.t, func() error {
		info := c.GroupInfo(group)
		if info == nil {
			return fmt.Errorf("there is no group %s", group)
		}
		for p, offset := range goal {
			if got := info.Commits[topic][p].Offset; got < offset {
				return fmt.Errorf("%s/%d is committed up to %d of %d", topic, p, got, offset)
			}
		}
		return nil
	})
	return input
}

// counted waits until the journal is counted, and compares: the outputs are 1
// to n for each key, once and in order; the changelog, the tables of the
// instances and Redis hold n.
func (c *cluster) counted(instances ...*instance) {
	c.t.Helper()
	want := map[string]string{}
	totals := map[string]int{}
	for _, r := range c.drained("count-"+counted.Name, journal.Name) {
		totals[string(r.Key)]++
		want[string(r.Key)] = strconv.Itoa(totals[string(r.Key)])
	}
	seen, wrong := map[string]int{}, 0
	for _, r := range c.read(counts.Name) {
		key := string(r.Key)
		if seen[key]++; string(r.Value) != strconv.Itoa(seen[key]) && wrong < 10 {
			c.t.Errorf("%s: key %s: got %s as its %dth count", r.Position, key, r.Value, seen[key])
			wrong++
		}
	}
	if diff := cmp.Diff(totals, seen); diff != "" {
		c.t.Errorf("counts published (-want +got):\n%s", diff)
	}
	c.hold("count-"+counted.Name+"-table", counted.Name, want, instances...)
}

// materialized waits until the journal is in the table, and compares.
func (c *cluster) materialized(instances ...*instance) {
	c.t.Helper()
	want := lastValues(c.drained("hello-"+hellos.Name, journal.Name))
	c.hold("hello-"+hellos.Name+"-table", hellos.Name, want, instances...)
}

// hold waits until the tables of the instances together, and Redis, hold what is
// wanted, and compares the changelog.
func (c *cluster) hold(changelog, store string, want map[string]string, instances ...*instance) {
	c.t.Helper()
	if diff := cmp.Diff(want, lastValues(c.read(changelog))); diff != "" {
		c.t.Errorf("changelog (-want +got):\n%s", diff)
	}
	eventually(c.t, func() error {
		got := map[string]string{}
		for _, i := range instances {
			if err := i.rows(store, got); err != nil {
				return err
			}
		}
		if diff := cmp.Diff(want, got); diff != "" && len(instances) > 0 {
			return fmt.Errorf("tables (-want +got):\n%s", diff)
		}
		return nil
	})
	eventually(c.t, func() error {
		if diff := cmp.Diff(want, c.redisRows(store)); diff != "" {
			return fmt.Errorf("redis (-want +got):\n%s", diff)
		}
		return nil
	})
}

// patience is how long tests wait for a state before they give up.
const patience = 30 * time.Second

// eventually waits until check returns nil.
func eventually(t testing.TB, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", patience, err)
		}
	}
}

// greetings are n records over some keys, the same each time.
func greetings(n, keys int) []topology.Raw {
	raws := make([]topology.Raw, n)
	for i := range raws {
		raws[i] = greeting(i%keys, i)
	}
	return raws
}

func greeting(key, count int) topology.Raw {
	r, err := journal.Encode(fmt.Sprintf("testid-%02d", key), hello{State: "HAPPY", Count: int64(count), Total: 10})
	if err != nil {
		panic(err)
	}
	return r
}

// The harness itself: records committed and aborted, before and after the start.
func TestCluster(t *testing.T) {
	c := newCluster(t, 1)
	c.create(journal.Name, 3, nil)
	c.create(counts.Name, 2, nil)
	c.produce(journal.Name, greetings(500, 20)...)
	c.transaction(kgo.TryAbort, journal.Name, greetings(70, 20)...)
	one := c.start(c.count(), nil)
	two := c.start(c.hello(), nil)
	c.transaction(kgo.TryCommit, journal.Name, greetings(400, 30)...)
	c.transaction(kgo.TryAbort, journal.Name, greetings(70, 40)...)
	c.counted(one)
	c.materialized(two)
	view := processor.Query(one.Processor, counted)
	if r, ok, err := view.Get(t.Context(), "testid-00"); err != nil || !ok || r.Value != 25+14 {
		t.Errorf("got %d, %v, %v, want 39", r.Value, ok, err)
	}
	if err := errors.Join(one.stop(), two.stop()); err != nil {
		t.Error(err)
	}
}
