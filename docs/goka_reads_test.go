package docs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/processor/embedded"
	"github.com/tidemark-dev/tidemark/topology"
)

const patience = 30 * time.Second

// A gokaView follows a table, and a goka processor joins it.
func TestGokaReadsATable(t *testing.T) { gokaReadsATable(startMiniGroup(t, embeddedKafka(t))) }

// The same with a real Kafka, whose topics of these names are deleted.
func TestIntegrationGokaReadsATable(t *testing.T) {
	brokers := os.Getenv("TIDEMARK_BROKERS")
	if brokers == "" {
		t.Skip("TIDEMARK_BROKERS is not set")
	}
	gokaReadsATable(startMiniGroup(t, strings.Split(brokers, ",")))
}

func gokaReadsATable(m *miniGroup) {
	t := m.T
	m.click("ann", 3)
	m.click("bob", 1)
	m.abort("ann", 98)
	m.click(neighbour("ann"), 1)
	m.abort("ann", 99)

	joined := make(chan string, 100)
	view, pages, err := gokaReaders(m.brokers, t.TempDir(), func(ctx goka.Context, page any) {
		count, _ := ctx.Join("mini-group-clicks-table").(int64)
		line := fmt.Sprintf("%s on %s after %d", ctx.Key(), page, count)
		ctx.Emit("page-counts", ctx.Key(), line)
		joined <- line
	})
	if err != nil {
		t.Fatal(err)
	}
	m.run(view.Run)
	await(t, "the view", view.WaitRunning())
	if got := get(t, view, "ann"); got != int64(3) {
		t.Errorf("ann has %v when the view has recovered, want 3", got)
	}

	m.run(pages.Run)
	recovered := make(chan struct{})
	go func() {
		if pages.WaitForReadyContext(t.Context()) == nil {
			close(recovered)
		}
	}()
	await(t, "the processor", recovered)
	m.send("user-page", "ann", []byte("home"))
	m.send("user-page", "eve", []byte("home"))
	got := map[string]bool{m.next(joined): true, m.next(joined): true}
	if !got["ann on home after 3"] || !got["eve on home after 0"] {
		t.Errorf("joined %v", got)
	}

	m.click("ann", 2)
	for get(t, view, "ann") != int64(5) {
		m.tick("the view to follow")
	}
	for want := "ann on home after 5"; ; {
		m.send("user-page", "ann", []byte("home"))
		if m.next(joined) == want {
			break
		}
	}
}

// Without tableTopics a view has the rows, but does not know that it has them
// all until each partition changes again: it waits for the transaction's marker.
func TestGokaWaitsForAMarker(t *testing.T) {
	m := startMiniGroup(t, embeddedKafka(t))
	m.click("ann", 3)
	view, err := goka.NewView(m.brokers, "mini-group-clicks-table", gokaCodec[int64]{codec.Int64{}}, goka.WithViewHasher(newMurmur2),
		goka.WithViewStorageBuilder(storage.MemoryBuilder()))
	if err != nil {
		t.Fatal(err)
	}
	m.run(view.Run)
	for get(t, view, "ann") != int64(3) {
		m.tick("the view to read")
	}
	if view.Recovered() {
		t.Error("the view has recovered: tableTopics is not needed any more")
	}
	m.click("ann", 1)
	await(t, "the view", view.WaitRunning())
}

// The hasher agrees with the partitioner.
func TestMurmur2(t *testing.T) {
	for range 10_000 {
		key := fmt.Appendf(nil, "%x", rand.Uint64())
		n := 1 + rand.Int32N(math.MaxInt32-1)
		h := newMurmur2()
		_, _ = h.Write(key[:3])
		_, _ = h.Write(key[3:])
		if got, want := int32(h.Sum32())%n, topology.Partition(key, n); got != want {
			t.Fatalf("%q: partition %d of %d, want %d", key, got, n, want)
		}
	}
}

// A miniGroup is docs/from-goka.md's first topology at work.
type miniGroup struct {
	*testing.T
	brokers  []string
	client   sarama.Client
	view     processor.View[string, int64]
	deadline time.Time
}

func embeddedKafka(t *testing.T) []string {
	ctx, end := context.WithCancel(context.Background())
	t.Cleanup(end) // after what runs on it
	flags, err := embedded.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return []string{flags["brokers"]}
}

func startMiniGroup(t *testing.T, brokers []string) *miniGroup {
	log.SetOutput(io.Discard) // goka's
	goka.ReplaceGlobalConfig(goka.DefaultConfig())
	cfg := sarama.NewConfig()
	cfg.Producer.Return.Successes = true
	cfg.Producer.Partitioner = sarama.NewManualPartitioner
	m := &miniGroup{T: t, brokers: brokers, deadline: time.Now().Add(patience)}
	var err error
	if m.client, err = sarama.NewClient(m.brokers, cfg); err != nil {
		t.Fatal(err)
	}
	m.createTopics("user-click", "click-counts", "user-page", "page-counts")
	topo, err := gokaCounter()
	if err != nil {
		t.Fatal(err)
	}
	p, err := processor.New(topo, processor.Config{Brokers: m.brokers, StateDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	m.run(p.Run)
	if err := p.Wait(t.Context(), processor.Running); err != nil {
		t.Fatal(err)
	}
	m.view = processor.Query(p, clickCount)
	return m
}

// createTopics creates topics, and deletes first what an earlier test has left.
func (m *miniGroup) createTopics(names ...string) {
	m.Helper()
	admin, err := sarama.NewClusterAdminFromClient(m.client)
	if err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() { admin.Close() })
	for _, group := range []string{"mini-group-clicks", "pages"} {
		if err := admin.DeleteConsumerGroup(group); err != nil && !errors.Is(err, sarama.ErrGroupIDNotFound) {
			m.Fatal(err)
		}
	}
	for _, name := range append(names, "mini-group-clicks-table") {
		if err := admin.DeleteTopic(name); err != nil && !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			m.Fatal(err)
		}
	}
	for _, name := range names {
		for { // a topic that is being deleted is there for a while
			err := admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: 4, ReplicationFactor: 1}, false)
			if err == nil {
				break
			}
			if !errors.Is(err, sarama.ErrTopicAlreadyExists) {
				m.Fatal(err)
			}
			m.tick(name + " to be deleted")
		}
	}
}

// run runs something until the end of the test.
func (m *miniGroup) run(run func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	m.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			m.Error(err)
		}
	})
}

// click counts a key up, and waits until that is committed.
func (m *miniGroup) click(key string, times int64) {
	m.Helper()
	row, _, err := m.view.Get(m.Context(), key)
	for range times {
		m.send("user-click", key, []byte("click"))
	}
	for want := row.Value + times; err == nil && row.Value != want; {
		m.tick("the count of " + key)
		row, _, err = m.view.Get(m.Context(), key)
	}
	if err != nil {
		m.Fatal(err)
	}
}

func (m *miniGroup) send(topic, key string, value []byte) {
	m.Helper()
	producer, err := sarama.NewSyncProducerFromClient(m.client)
	if err != nil {
		m.Fatal(err)
	}
	defer producer.Close()
	if _, _, err := producer.SendMessage(record(topic, key, value)); err != nil {
		m.Fatal(err)
	}
}

// abort leaves a row of an aborted transaction at the end of the table's topic.
func (m *miniGroup) abort(key string, count int64) {
	m.Helper()
	cfg := sarama.NewConfig()
	cfg.Producer.Return.Successes = true
	cfg.Producer.Partitioner = sarama.NewManualPartitioner
	cfg.Producer.Idempotent, cfg.Producer.RequiredAcks, cfg.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
	cfg.Producer.Transaction.ID = "interrupted"
	producer, err := sarama.NewSyncProducer(m.brokers, cfg)
	if err != nil {
		m.Fatal(err)
	}
	defer producer.Close()
	value, _ := codec.Int64{}.Encode(count)
	if err := producer.BeginTxn(); err != nil {
		m.Fatal(err)
	}
	if _, _, err := producer.SendMessage(record("mini-group-clicks-table", key, value)); err != nil {
		m.Fatal(err)
	}
	if err := producer.AbortTxn(); err != nil {
		m.Fatal(err)
	}
}

// neighbour returns another key of the same partition.
func neighbour(key string) string {
	for i := 0; ; i++ {
		other := fmt.Sprint("key-", i)
		if topology.Partition([]byte(other), 4) == topology.Partition([]byte(key), 4) {
			return other
		}
	}
}

func record(topic, key string, value []byte) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{
		Topic: topic, Partition: topology.Partition([]byte(key), 4), Key: sarama.StringEncoder(key), Value: sarama.ByteEncoder(value),
	}
}

func (m *miniGroup) next(lines <-chan string) string {
	m.Helper()
	select {
	case line := <-lines:
		return line
	case <-time.After(patience):
		m.Fatal("the goka processor has joined nothing")
		return ""
	}
}

// tick is a moment's wait for something that does not say when it happens.
func (m *miniGroup) tick(what string) {
	m.Helper()
	if time.Now().After(m.deadline) {
		m.Fatalf("waited in vain for %s", what)
	}
	<-time.After(5 * time.Millisecond)
}

// get returns a view's row, nil while the view does not answer yet.
func get(t *testing.T, view *goka.View, key string) any {
	t.Helper()
	value, err := view.Get(key)
	if err != nil && view.CurrentState() >= goka.ViewStateConnecting {
		t.Fatal(err)
	}
	return value
}

func await(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s has not recovered", what)
	}
}
