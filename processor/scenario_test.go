package processor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/processor/embedded"
	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// Servers are where a scenario runs. Prefix keeps its names apart from those of
// others, and of other runs.
type servers struct {
	brokers []string
	redis   string // address, or URL
	prefix  string
}

func embeddedServers(t *testing.T) servers {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	t.Cleanup(end) // t.Context() ends before the processor does
	flags, err := embedded.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return servers{brokers: []string{flags["brokers"]}, redis: "redis://" + flags["redis"]}
}

// realServers are those of the environment. What a test leaves there has a name
// that begins with the prefix, and is deleted at its end.
func realServers(t *testing.T) servers {
	t.Helper()
	brokers, addr := os.Getenv("TIDEMARK_BROKERS"), os.Getenv("TIDEMARK_REDIS")
	if brokers == "" || addr == "" {
		t.Skip("TIDEMARK_BROKERS and TIDEMARK_REDIS are not both set: host:port of a real Kafka and a real Redis")
	}
	if !strings.Contains(addr, "://") {
		addr = "redis://" + addr
	}
	return servers{brokers: strings.Split(brokers, ","), redis: addr, prefix: fmt.Sprintf("test-%d-", time.Now().UnixNano())}
}

// A stage is a topology that runs, and hands and eyes beside it.
type stage struct {
	servers
	t       *testing.T
	topo    *topology.Topology
	p       *processor.Processor
	kafka   *kgo.Client
	redis   *goredis.Client
	refused *refusals
	sent    map[int32]int64   // to the input, by partition
	state   map[string]string // what scenarios want: lines of rows, by store and key
	written map[string][]string
}

const stagePartitions = 3

// newStage runs a topology that declare makes with topics and stores of the
// servers' prefix.
func newStage(t *testing.T, at servers, name string, declare func(*topology.Builder, *stage)) *stage {
	t.Helper()
	s := &stage{
		servers: at, t: t, refused: &refusals{},
		sent: map[int32]int64{}, state: map[string]string{}, written: map[string][]string{},
	}
	b := topology.NewBuilder(at.prefix + name)
	declare(b, s)
	s.topo = build(t, b)

	options, err := goredis.ParseURL(at.redis)
	if err != nil {
		t.Fatal(err)
	}
	s.redis = goredis.NewClient(options)
	s.kafka, err = kgo.NewClient(kgo.SeedBrokers(at.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.clear)
	create := kmsg.NewPtrCreateTopicsRequest()
	for _, name := range s.topo.Topics() {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, stagePartitions, 1
		create.Topics = append(create.Topics, topic)
	}
	resp, err := create.RequestWith(t.Context(), s.kafka)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range resp.Topics {
		if topic.ErrorCode != 0 {
			t.Fatalf("creating %s: error %d", topic.Topic, topic.ErrorCode)
		}
	}

	s.p, err = processor.New(s.topo, processor.Config{
		Brokers: at.brokers, StateDir: t.TempDir(), Logger: slog.New(s.refused),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	ready, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.p.Wait(ready, processor.Running); err != nil {
		t.Fatal(err)
	}
	return s
}

// clear deletes what the run has left on the servers.
func (s *stage) clear() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	defer s.kafka.Close()
	defer s.redis.Close()
	if s.prefix == "" {
		return
	}
	groups, topics := kmsg.NewPtrDeleteGroupsRequest(), kmsg.NewPtrDeleteTopicsRequest()
	names := s.topo.Topics()
	for _, g := range s.topo.Groups() {
		groups.Groups = append(groups.Groups, g.Name)
		names = append(names, g.Stores[0].Changelog)
	}
	for _, name := range names {
		topic := kmsg.NewDeleteTopicsRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		topics.Topics, topics.TopicNames = append(topics.Topics, topic), append(topics.TopicNames, name)
	}
	_, errGroups := groups.RequestWith(ctx, s.kafka)
	_, errTopics := topics.RequestWith(ctx, s.kafka)
	keys, errKeys := s.redis.Keys(ctx, "*"+s.prefix+"*").Result()
	if len(keys) > 0 {
		errKeys = s.redis.Del(ctx, keys...).Err()
	}
	if err := errors.Join(errGroups, errTopics, errKeys); err != nil {
		s.t.Errorf("cleaning up: %v", err)
	}
}

// Refusals remembers the records whose refusal was logged.
type refusals struct {
	mu   sync.Mutex
	list []string
}

func (*refusals) Enabled(context.Context, slog.Level) bool { return true }
func (r *refusals) WithAttrs([]slog.Attr) slog.Handler     { return r }
func (r *refusals) WithGroup(string) slog.Handler          { return r }

func (r *refusals) Handle(_ context.Context, line slog.Record) error {
	line.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(*topology.RecordError); ok {
			r.mu.Lock()
			r.list = append(r.list, topologytest.Refusal(err))
			r.mu.Unlock()
		}
		return true
	})
	return nil
}

// take returns what was refused since the last call, sorted: partitions know no
// order among each other.
func (r *refusals) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	slices.Sort(list)
	return list
}

// send appends records to the input and waits until they are processed and
// committed.
func (s *stage) send(raws ...topology.Raw) {
	s.t.Helper()
	var records []*kgo.Record
	for _, r := range raws {
		partition := topology.Partition(r.Key, stagePartitions)
		records = append(records, &kgo.Record{Topic: r.Topic, Partition: partition, Key: r.Key, Value: r.Value})
		s.sent[partition]++
	}
	if err := s.kafka.ProduceSync(s.t.Context(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, func() error {
		for _, task := range s.p.Status().Tasks {
			for _, at := range task.Committed {
				if at.Offset != s.sent[at.Partition] {
					return fmt.Errorf("%s/%d is committed up to %d of %d", at.Topic, at.Partition, at.Offset, s.sent[at.Partition])
				}
			}
		}
		return nil
	})
}

// play runs one step and compares everything that it has caused.
func (s *stage) play(step topologytest.Step) {
	s.t.Helper()
	before := s.p.Status().Counts
	s.send(step.Records...)
	after := s.p.Status().Counts

	var refused []string
	var dropped, published int64
	for _, line := range step.Want {
		head := s.head(line)
		switch {
		case line == "dropped":
			dropped++
		case strings.HasPrefix(line, "refused "):
			refused = append(refused, line)
		case s.store(line):
			s.state[head] = line
			s.written[head] = append(s.written[head], line)
		default:
			published++
			s.written[head] = append(s.written[head], line)
		}
	}
	slices.Sort(refused)
	if diff := cmp.Diff(refused, s.refused.take()); diff != "" {
		s.t.Errorf("line %d: refused (-want +got):\n%s", step.Line, diff)
	}
	want := []int64{int64(len(step.Records) - len(refused)), dropped, int64(len(refused)), published}
	got := []int64{
		after.Records - before.Records - (after.Skipped - before.Skipped), after.Dropped - before.Dropped,
		after.Skipped - before.Skipped, after.Published - before.Published,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("line %d: processed, dropped, skipped, published (-want +got):\n%s", step.Line, diff)
	}
	for _, r := range step.Records {
		if r.Key != nil {
			s.compareRow(step.Line, r.Key)
		}
	}
}

// head is what a line begins with: the topic or store, and the key.
func (s *stage) head(line string) string {
	head, _, ok := strings.Cut(strings.TrimSuffix(line, " deleted"), " = ")
	if !ok && strings.HasSuffix(line, " = ") {
		s.t.Fatalf("line %q", line)
	}
	return head
}

func (s *stage) store(line string) bool {
	return slices.ContainsFunc(s.topo.Stores(), func(name string) bool { return strings.HasPrefix(line, name+" ") })
}

// compareRow compares a key's row in the table, as a person reads it, and in
// Redis with what the scenario wants.
func (s *stage) compareRow(line int, key []byte) {
	s.t.Helper()
	name := s.topo.Stores()[0]
	request := httptest.NewRequest("GET", "http://localhost/v1/tables/"+name+"?key="+url.QueryEscape(string(key)), nil)
	answer := httptest.NewRecorder()
	s.p.Handler().ServeHTTP(answer, request)
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	missing := topologytest.Line(s.t, s.topo, topology.Raw{Key: key, Position: topology.Position{Topic: name}})
	head := s.head(missing)
	got := head + " = " + strings.TrimSpace(string(body))
	if answer.Code == 404 {
		got = missing
	}
	want, ok := s.state[head]
	if !ok {
		want = missing // there never was one
	}
	if got != want {
		s.t.Errorf("line %d: got %s (%d), want %s", line, got, answer.Code, want)
	}
	eventually(s.t, func() error {
		value, err := s.redis.Get(s.t.Context(), name+":"+string(key)).Bytes()
		if err != nil && !errors.Is(err, goredis.Nil) {
			return err
		}
		if got := s.redisLine(string(key), value); got != want {
			return fmt.Errorf("line %d: Redis has %s, want %s", line, got, want)
		}
		return nil
	})
}

// redisLine writes what Redis holds under a key: JSON, for who reads it there.
func (s *stage) redisLine(key string, value []byte) string {
	s.t.Helper()
	missing := topologytest.Line(s.t, s.topo, topology.Raw{Key: []byte(key), Position: topology.Position{Topic: s.topo.Stores()[0]}})
	if value == nil {
		return missing
	}
	var text bytes.Buffer
	if err := json.Compact(&text, value); err != nil {
		return fmt.Sprintf("%s holds %q", s.head(missing), value)
	}
	return s.head(missing) + " = " + text.String()
}

// compareTopics compares what was written to the changelog and to outputs with
// all lines so far, key by key. Lines of a changelog that keeps only the last
// change of a commit may be missing, but the last one of a key.
func (s *stage) compareTopics() {
	s.t.Helper()
	got := map[string][]string{}
	group := s.topo.Groups()[0]
	for _, topic := range append([]string{group.Stores[0].Changelog}, group.Outputs...) {
		for _, r := range s.read(topic) {
			line := topologytest.Line(s.t, s.topo, r)
			got[s.head(line)] = append(got[s.head(line)], line)
		}
	}
	for head, want := range s.written {
		if s.store(head+" ") && !group.Stores[0].EveryChange {
			want = s.thinned(want, got[head])
		}
		if diff := cmp.Diff(want, got[head]); diff != "" {
			s.t.Errorf("written to Kafka of %s (-want +got):\n%s", head, diff)
		}
	}
	if a, b := slices.Sorted(maps.Keys(s.written)), slices.Sorted(maps.Keys(got)); !slices.Equal(a, b) {
		s.t.Errorf("written to Kafka: %q, want %q", b, a)
	}
}

// thinned returns want as far as got has it in this order, and its last line.
func (s *stage) thinned(want, got []string) []string {
	var left []string
	for i, line := range want {
		if i == len(want)-1 || len(left) < len(got)-1 && got[len(left)] == line {
			left = append(left, line)
		}
	}
	return left
}

// read returns all records of a topic.
func (s *stage) read(topic string) (raws []topology.Raw) {
	s.t.Helper()
	places := map[int32]kgo.Offset{}
	for p := range int32(stagePartitions) {
		places[p] = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: places}), kgo.KeepControlRecords())
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	ends := map[int32]int64{}
	for p, end := range s.ends(ctx, topic) {
		if end > 0 {
			ends[p] = end
		}
	}
	for len(ends) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			s.t.Fatalf("reading %s, still up to %v: %v", topic, ends, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= ends[r.Partition] {
				delete(ends, r.Partition)
			}
			if !r.Attrs.IsControl() {
				raws = append(raws, topology.Raw{Key: r.Key, Value: r.Value, Position: topology.Position{Topic: topic, Partition: r.Partition, Offset: r.Offset}})
			}
		})
	}
	return raws
}

// ends returns the offset after the last record of each partition.
func (s *stage) ends(ctx context.Context, topic string) map[int32]int64 {
	s.t.Helper()
	request, of := kmsg.NewPtrListOffsetsRequest(), kmsg.NewListOffsetsRequestTopic()
	of.Topic = topic
	for p := range int32(stagePartitions) {
		partition := kmsg.NewListOffsetsRequestTopicPartition()
		partition.Partition, partition.Timestamp = p, -1
		of.Partitions = append(of.Partitions, partition)
	}
	request.Topics = append(request.Topics, of)
	ends := map[int32]int64{}
	for _, shard := range s.kafka.RequestSharded(ctx, request) {
		if shard.Err != nil {
			s.t.Fatal(shard.Err)
		}
		for _, topic := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range topic.Partitions {
				if p.ErrorCode != 0 {
					s.t.Fatalf("end of %s/%d: error %d", topic.Topic, p.Partition, p.ErrorCode)
				}
				ends[p.Partition] = p.Offset
			}
		}
	}
	return ends
}

// compareRedis compares all that Redis has of a store with its rows.
func (s *stage) compareRedis() {
	s.t.Helper()
	name := s.topo.Stores()[0]
	want, got := map[string]string{}, map[string]string{}
	for head, line := range s.state {
		if !strings.HasSuffix(line, " deleted") {
			want[head] = line
		}
	}
	keys, err := s.redis.Keys(s.t.Context(), name+":*").Result()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, key := range keys {
		value, err := s.redis.Get(s.t.Context(), key).Bytes()
		if err != nil {
			s.t.Fatal(err)
		}
		line := s.redisLine(strings.TrimPrefix(key, name+":"), value)
		got[s.head(line)] = line
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("Redis (-want +got):\n%s", diff)
	}
}

// scenarios are the topologies of the files in testdata. Bad input must stop
// none of them.
var scenarios = map[string]func(*topology.Builder, *stage){
	"hello": func(b *topology.Builder, s *stage) {
		topology.Sync(topology.Materialize(b, s.journal(), topology.Store[string, hello]{Name: s.prefix + hellos.Name}), &redis.Sink{Addr: s.servers.redis})
	},
	"count": func(b *topology.Builder, s *stage) {
		every := topology.Store[string, int64]{Name: s.prefix + counted.Name, EveryChange: true}
		table := topology.Count(topology.Consume(b, s.journal()), every)
		topology.Publish(table, topology.Topic[string, int64]{Name: s.prefix + counts.Name})
		topology.Sync(table, &redis.Sink{Addr: s.servers.redis})
	},
}

func (s *stage) journal() topology.Topic[string, hello] {
	topic := journal
	topic.Name = s.prefix + journal.Name
	topic.Policies = topology.Policies{Decode: topology.Skip, Process: topology.Skip}
	return topic
}

// file returns a scenario with the names that the stage uses.
func (s *stage) file(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", name+".txt"))
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(s.t.TempDir(), name+".txt")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "hello-", s.prefix+"hello-")), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return file
}

func testScenarios(t *testing.T, at func(*testing.T) servers) {
	files, err := filepath.Glob("../testdata/*.txt")
	if err != nil || len(files) != len(scenarios) {
		t.Fatalf("scenarios %q (%v), want %d", files, err, len(scenarios))
	}
	for name, declare := range scenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, at(t), name, declare)
			for _, step := range topologytest.ReadScenario(t, s.topo, s.file(name)) {
				s.play(step)
			}
			s.compareTopics()
			s.compareRedis()
		})
	}
}

func TestScenarios(t *testing.T)            { testScenarios(t, embeddedServers) }
func TestIntegrationScenarios(t *testing.T) { testScenarios(t, realServers) }

// The acceptance: ten records of one person are in Redis and in the local table
// as the last of them says.
func testAcceptance(t *testing.T, at servers) {
	s := newStage(t, at, "hello", scenarios["hello"])
	for i := range int64(10) {
		r, err := s.journal().Encode("testid-01", hello{State: "HAPPY", Count: i + 1, Total: (i + 1) * 10})
		if err != nil {
			t.Fatal(err)
		}
		s.send(r)
	}
	const want = `{"state":"HAPPY","helloCount":10,"helloTotalCount":100}`
	key := s.prefix + "hello-state-store:testid-01"
	eventually(t, func() error {
		if got, err := s.redis.Get(t.Context(), key).Result(); err != nil || got != want {
			return fmt.Errorf("%s is %s (%w), want %s", key, got, err, want)
		}
		return nil
	})
	view := processor.Query(s.p, topology.Store[string, hello]{Name: s.prefix + hellos.Name})
	row, ok, err := view.Get(t.Context(), "testid-01")
	if err != nil || !ok || row.Value != (hello{"HAPPY", 10, 100}) {
		t.Errorf("table has %v (%v, %v)", row.Value, ok, err)
	}
}

func TestAcceptance(t *testing.T)            { testAcceptance(t, embeddedServers(t)) }
func TestIntegrationAcceptance(t *testing.T) { testAcceptance(t, realServers(t)) }
