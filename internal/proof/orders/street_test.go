package orders_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemark-dev/tidemark/internal/proof/orders"
	"github.com/tidemark-dev/tidemark/internal/proof/referee"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/processor/embedded"
	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// Servers are where a street lies. Prefix keeps its names apart from those of
// others, and of other runs.
type servers struct {
	brokers []string
	redis   string // address
	prefix  string
}

func embeddedServers(t *testing.T) servers {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	t.Cleanup(end) // t.Context() ends before the instances do
	flags, err := embedded.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return servers{strings.Split(flags["brokers"], ","), flags["redis"], ""}
}

func realServers(t *testing.T) servers {
	t.Helper()
	brokers, addr := os.Getenv("TIDEMARK_BROKERS"), os.Getenv("TIDEMARK_REDIS")
	if brokers == "" || addr == "" {
		t.Skip("TIDEMARK_BROKERS and TIDEMARK_REDIS are not both set: host:port of a real Kafka and a real Redis")
	}
	return servers{strings.Split(brokers, ","), addr, fmt.Sprintf("test-%d-", time.Now().UnixNano())}
}

// A street is where the shop of internal/proof/orders runs: instances come and go
// while its traffic does not stop.
type street struct {
	servers
	t       *testing.T
	shop    *orders.Shop
	topo    *topology.Topology
	traffic *orders.Traffic
	ledger  *orders.Ledger
	kafka   *kgo.Client
	referee *referee.Cluster
	redis   *goredis.Client
}

const streetPartitions = 4

func newStreet(t *testing.T, at servers) *street {
	t.Helper()
	shop := orders.NewShop(at.prefix)
	s := &street{servers: at, t: t, shop: shop, traffic: orders.NewTraffic(shop, 1), ledger: orders.NewLedger(shop)}
	s.topo = s.topology()
	s.redis = goredis.NewClient(&goredis.Options{Addr: at.redis})
	var err error
	if s.referee, err = referee.Open(at.brokers); err != nil {
		t.Fatal(err)
	}
	s.kafka, err = kgo.NewClient(kgo.SeedBrokers(at.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.clear)
	for _, topic := range slices.Concat(shop.Inputs(), shop.Outputs()) {
		if err := s.referee.Create(topic, streetPartitions); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// clear deletes what the run has left on the servers.
func (s *street) clear() {
	defer s.kafka.Close()
	defer s.redis.Close()
	if s.prefix == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	keys, err := s.redis.Keys(ctx, "*"+s.prefix+"*").Result()
	if len(keys) > 0 {
		err = s.redis.Del(ctx, keys...).Err()
	}
	if err := errors.Join(err, s.referee.Drop(s.prefix), s.referee.Close()); err != nil {
		s.t.Errorf("cleaning up: %v", err)
	}
}

// topology is the shop's with sinks of its own: each instance has one.
func (s *street) topology() *topology.Topology {
	s.t.Helper()
	topo, err := s.shop.Topology(func() topology.Sink { return &redis.Sink{Addr: s.servers.redis} })
	if err != nil {
		s.t.Fatal(err)
	}
	return topo
}

// An instance is a processor that runs.
type instance struct {
	*processor.Processor
	t    *testing.T
	stop func() error // in good order, and returns what Run has returned
}

// start runs an instance on a state directory until the end of the test.
func (s *street) start(dir string) *instance {
	s.t.Helper()
	log := &logBuffer{}
	p, err := processor.New(s.topology(), processor.Config{
		Brokers: s.brokers, StateDir: dir, SessionTimeout: 6 * time.Second, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	i := &instance{p, s.t, sync.OnceValue(func() error {
		cancel()
		return <-ended
	})}
	s.t.Cleanup(func() {
		err := i.stop()
		if s.t.Failed() {
			s.t.Logf("instance on %s: %v:\n%s", dir, err, log)
		}
	})
	return i
}

// runs waits until the instance runs.
func (i *instance) runs() {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(i.t.Context(), patience)
	defer cancel()
	if err := i.Wait(ctx, processor.Running); err != nil {
		i.t.Fatal(err)
	}
}

// A logBuffer keeps what an instance has logged.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// patience is how long nothing may come nearer to what is wanted.
const patience = 60 * time.Second

// eventually waits until check returns nil.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", patience, err)
		}
	}
}

// send appends records, and enters them in the ledger.
func (s *street) send(raws ...topology.Raw) {
	s.t.Helper()
	var records []*kgo.Record
	for _, r := range raws {
		if err := s.ledger.Add(r); err != nil {
			s.t.Fatal(err)
		}
		records = append(records, &kgo.Record{
			Topic: r.Topic, Partition: topology.Partition(r.Key, streetPartitions), Key: r.Key, Value: r.Value, Timestamp: r.Time,
		})
	}
	if err := s.kafka.ProduceSync(s.t.Context(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// trade sends the next n records of the traffic.
func (s *street) trade(n int) {
	s.t.Helper()
	const batch = 50
	for ; n > 0; n -= batch {
		var records []topology.Raw
		for range batch {
			r, err := s.traffic.Next()
			if err != nil {
				s.t.Fatal(err)
			}
			records = append(records, r)
		}
		s.send(records...)
	}
}

// changelogs returns the topics of the tables that are in the books, by store.
func (s *street) changelogs() map[string]string {
	topics := map[string]string{}
	for _, g := range s.topo.Groups() {
		for _, store := range g.Stores {
			if slices.Contains(s.shop.Tables(), store.Name) {
				topics[store.Name] = store.Changelog
			}
		}
	}
	return topics
}

// onKafka returns what lies in the changelogs and the outputs.
func (s *street) onKafka() (orders.Books, error) {
	books := orders.NewBooks()
	read := func(name, topic string) error {
		return s.referee.Read(s.t.Context(), topic, func(r topology.Raw) error {
			r.Topic = name
			return books.Add(s.shop, r)
		})
	}
	for store, changelog := range s.changelogs() {
		if err := read(store, changelog); err != nil {
			return books, err
		}
	}
	for _, topic := range s.shop.Outputs() {
		if err := read(topic, topic); err != nil {
			return books, err
		}
	}
	return books, nil
}

// onRedis returns the tables as Redis has them; outputs are none there.
func (s *street) onRedis() (orders.Books, error) {
	books := orders.NewBooks()
	for _, store := range s.shop.Tables() {
		keys, err := s.redis.Keys(s.t.Context(), store+":*").Result()
		if err != nil {
			return books, err
		}
		if len(keys) == 0 {
			continue
		}
		values, err := s.redis.MGet(s.t.Context(), keys...).Result()
		if err != nil {
			return books, err
		}
		for i, v := range values {
			text, ok := v.(string)
			if !ok {
				continue // deleted meanwhile
			}
			r, err := s.topo.Parse(store, strings.TrimPrefix(keys[i], store+":"), []byte(text))
			if err == nil {
				err = books.Add(s.shop, r)
			}
			if err != nil {
				return books, err
			}
		}
	}
	return books, nil
}

// holds waits until Kafka and Redis hold what the ledger says.
func (s *street) holds() {
	s.t.Helper()
	want := s.ledger.Books()
	eventually(s.t, func() error {
		got, err := s.onKafka()
		if diff := gocmp.Diff(want, got); err == nil && diff != "" {
			err = fmt.Errorf("kafka (-want +got):\n%s", diff)
		}
		return err
	})
	want.Letters, want.Receipts = orders.NewBooks().Letters, orders.NewBooks().Receipts
	eventually(s.t, func() error {
		got, err := s.onRedis()
		if diff := gocmp.Diff(want, got); err == nil && diff != "" {
			err = fmt.Errorf("redis (-want +got):\n%s", diff)
		}
		return err
	})
}

// The shop's tables, outputs and Redis are what plain Go computes, while two
// instances take over from each other and one loses its disk.
func testStreet(t *testing.T, at servers) {
	s := newStreet(t, at)
	s.trade(orders.Opening)
	one, two := t.TempDir(), t.TempDir()
	first := s.start(one)
	s.trade(1000)
	second := s.start(two)
	s.trade(1000)
	first.runs()
	second.runs()
	s.trade(500)
	if err := second.stop(); err != nil {
		t.Error(err)
	}
	s.trade(500)
	second = s.start(t.TempDir())
	s.trade(500)
	second.runs()
	s.trade(500)
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	s.trade(500)
	first = s.start(one)
	s.trade(500)
	first.runs()
	s.trade(500)
	s.holds()
	if err := errors.Join(first.stop(), second.stop()); err != nil {
		t.Error(err)
	}
	s.holds() // and nothing came after
}

func TestStreet(t *testing.T)            { testStreet(t, embeddedServers(t)) }
func TestIntegrationStreet(t *testing.T) { testStreet(t, realServers(t)) }
