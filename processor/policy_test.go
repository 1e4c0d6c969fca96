package processor_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// spoilt is a record of the journal that cannot be decoded.
func spoilt(key string) topology.Raw {
	return topology.Raw{Key: []byte(key), Value: []byte(`{"state":`)}
}

func policies(p topology.Policies) func(*processor.Config) {
	return func(cfg *processor.Config) { cfg.Policies = p }
}

// letters returns the committed records of a topic, with headers.
func (c *cluster) letters(topic string) []*kgo.Record {
	c.t.Helper()
	n := len(c.read(topic))
	client := c.newClient(kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var records []*kgo.Record
	for len(records) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			c.t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// committed is the offset of a partition from which a group goes on.
func (c *cluster) committed(group, topic string, partition int32) int64 {
	info := c.GroupInfo(group)
	if info == nil {
		return 0
	}
	return info.Commits[topic][partition].Offset
}

func TestPolicyFail(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 1, nil)
	c.produce(journal.Name, greeting(1, 1), greeting(2, 2))
	i := c.start(c.hello(), nil)
	c.materialized(i)
	c.produce(journal.Name, greeting(1, 3), spoilt("testid-02"), greeting(2, 4))
	const want = "record hello-log-store/0@3: table hello-state-store: decode value: unexpected end of JSON input"
	if got := i.failed(); !strings.Contains(got, want) || strings.Contains(got, "\n") {
		t.Errorf("error %q, want %q", got, want)
	}
	var refused *topology.RecordError
	if !errors.As(i.err, &refused) || refused.Offset != 3 || refused.Topic != journal.Name {
		t.Errorf("error %#v", i.err)
	}
	check := func() {
		t.Helper()
		if at := c.committed("hello-hello-state-store", journal.Name, 0); at < 2 || at > 3 {
			t.Errorf("committed up to %d, want 2 or 3", at)
		}
		for _, r := range c.read("hello-hello-state-store-table") {
			if strings.Contains(string(r.Value), `"helloCount":4`) {
				t.Errorf("%s: the record behind the refused one has got through", r.Position)
			}
		}
	}
	check()

	// At the next start it is still there, and a policy takes it out of the way.
	again := c.start(c.hello(), keep(i.dir))
	if got := again.failed(); !strings.Contains(got, want) {
		t.Errorf("at the next start: error %q, want %q", got, want)
	}
	check()
	last := c.start(c.hello(), func(cfg *processor.Config) {
		keep(i.dir)(cfg)
		policies(topology.Policies{Decode: topology.Skip})(cfg)
	})
	c.drained("hello-hello-state-store", journal.Name)
	c.hold("hello-hello-state-store-table", hellos.Name, lastValues([]topology.Raw{greeting(1, 3), greeting(2, 4)}), last)
	if s := last.Status().Counts; s.Skipped != 1 {
		t.Errorf("skipped %d, want 1", s.Skipped)
	}
}

func TestPolicySkip(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	skipping := policies(topology.Policies{Decode: topology.Skip})
	i := c.start(c.hello(), skipping)
	c.produce(journal.Name, spoilt("testid-01"), greeting(1, 1), spoilt("testid-02"), greeting(3, 3), spoilt("testid-01"))
	c.drained("hello-hello-state-store", journal.Name)
	c.hold("hello-hello-state-store-table", hellos.Name, lastValues([]topology.Raw{greeting(1, 1), greeting(3, 3)}), i)
	s := i.Status().Counts
	if diff := cmp.Diff([]int64{5, 3, 0, 0}, []int64{s.Records, s.Skipped, s.DeadLetters, s.Dropped}); diff != "" {
		t.Errorf("records, skipped, dead letters, dropped (-want +got):\n%s", diff)
	}
	for _, want := range []string{"record skipped", "record hello-log-store/", "unexpected end of JSON input"} {
		if !i.log.contains(want) {
			t.Errorf("the log does not say %q", want)
		}
	}
}

func TestPolicyDeadLetter(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 1, nil)
	i := c.start(c.hello(), policies(topology.Policies{Decode: topology.DeadLetter}))
	i.await(processor.Running)

	// The first commits with the dead letter are refused, so it is written more
	// than once, and once only in a transaction that is committed.
	refusals := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Group: "hello-hello-state-store", Err: kerr.UnknownServerError, Count: 2})
	at := time.UnixMilli(1_700_000_000_000)
	if err := c.client.ProduceSync(t.Context(), &kgo.Record{
		Topic: journal.Name, Key: []byte("testid-01"), Value: []byte("{"), Timestamp: at,
		Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("7")}, {Key: "trace"}},
	}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.produce(journal.Name, greeting(1, 1))
	c.drained("hello-hello-state-store", journal.Name)
	c.hold("hello-hello-state-store-table", hellos.Name, lastValues([]topology.Raw{greeting(1, 1)}), i)
	if refusals.Hits() != 2 {
		t.Errorf("%d commits were refused, want 2", refusals.Hits())
	}
	letters := c.letters("hello-dead-letters")
	if len(letters) != 1 {
		t.Fatalf("%d dead letters, want 1", len(letters))
	}
	r := letters[0]
	if string(r.Key) != "testid-01" || string(r.Value) != "{" || time.Since(r.Timestamp) > time.Minute {
		t.Errorf("dead letter %s = %s of %v", r.Key, r.Value, r.Timestamp)
	}
	want := []kgo.RecordHeader{
		{Key: "trace", Value: []byte("7")},
		{Key: "trace"},
		{Key: "tidemark-topic", Value: []byte("hello-log-store")},
		{Key: "tidemark-partition", Value: []byte("0")},
		{Key: "tidemark-offset", Value: []byte("0")},
		{Key: "tidemark-time", Value: []byte("1700000000000")}, // by the record's own time Kafka's retention would delete it
		{Key: "tidemark-node", Value: []byte("table hello-state-store")},
		{Key: "tidemark-error", Value: []byte("decode value: unexpected end of JSON input")},
	}
	if diff := cmp.Diff(want, r.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// fragile counts the words of a journal whose records a function may refuse.
func fragile(t *testing.T, of topology.Policies) *topology.Topology {
	b := topology.NewBuilder("fragile")
	topic := journal
	topic.Policies = of
	tried := topology.Try(topology.Consume(b, topic), func(key string, h hello) (hello, error) {
		if h.State == "ANGRY" {
			return h, errors.New("don't talk to me")
		}
		return h, nil
	})
	topology.Aggregate(tried, hellos, func(key string, h, kept hello) hello {
		if h.State == "MAD" {
			panic("boom")
		}
		return hello{State: h.State, Count: kept.Count + 1}
	})
	return build(t, b)
}

// mood is a record that a function of fragile refuses: by an error if it is
// ANGRY, by a panic if it is MAD.
func mood(key, state string) topology.Raw {
	r, err := journal.Encode(key, hello{State: state})
	if err != nil {
		panic(err)
	}
	return r
}

func TestPolicyOfTopicAndApplication(t *testing.T) {
	t.Parallel()
	sent := []topology.Raw{
		spoilt("a"), mood("a", "HAPPY"), mood("a", "ANGRY"), mood("b", "MAD"), mood("b", "HAPPY"), mood("a", "HAPPY"),
	}
	for name, test := range map[string]struct {
		topic, application topology.Policies
		skipped, letters   int64
	}{
		"the application's": {
			topology.Policies{}, topology.Policies{Decode: topology.Skip, Process: topology.DeadLetter}, 1, 2,
		},
		"the topic's, before the application's": {
			topology.Policies{Decode: topology.DeadLetter, Process: topology.Skip},
			topology.Policies{Decode: topology.Skip, Process: topology.DeadLetter},
			2, 1,
		},
		"one of each": {
			topology.Policies{Process: topology.Skip}, topology.Policies{Decode: topology.Skip}, 3, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(journal.Name, 1, nil)
			c.produce(journal.Name, sent...)
			i := c.start(fragile(t, test.topic), policies(test.application))
			c.drained("fragile-hello-state-store", journal.Name)
			eventually(t, func() error {
				got := map[string]string{}
				if err := i.rows(hellos.Name, got); err != nil {
					return err
				}
				if diff := cmp.Diff(map[string]string{
					"a": `{"state":"HAPPY","helloCount":2,"helloTotalCount":0}`,
					"b": `{"state":"HAPPY","helloCount":1,"helloTotalCount":0}`,
				}, got); diff != "" {
					return errors.New(diff)
				}
				return nil
			})
			s := i.Status().Counts
			if s.Skipped != test.skipped || s.DeadLetters != test.letters {
				t.Errorf("skipped %d, dead letters %d, want %d and %d", s.Skipped, s.DeadLetters, test.skipped, test.letters)
			}
			if exists := c.TopicInfo("fragile-dead-letters") != nil; exists != (test.letters > 0) {
				t.Errorf("there is a topic of dead letters: %v", exists)
			}
			if test.letters > 0 {
				if n := len(c.letters("fragile-dead-letters")); n != int(test.letters) {
					t.Errorf("%d dead letters, want %d", n, test.letters)
				}
			}
		})
	}
}

func TestPolicyOfPanics(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 1, nil)
	c.produce(journal.Name, mood("a", "HAPPY"), mood("a", "MAD"))
	got := c.start(fragile(t, topology.Policies{}), nil).failed()
	if !strings.Contains(got, "record hello-log-store/0@1: ") || !strings.Contains(got, "panic at policy_test.go:") || !strings.HasSuffix(got, ": boom") {
		t.Errorf("error %q", got)
	}
}

func TestRecordsWithoutKey(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	nobody := greeting(0, 7)
	nobody.Key = nil
	i := c.start(c.hello(), nil)
	c.produce(journal.Name, nobody, greeting(1, 1), nobody, topology.Raw{}, greeting(2, 2), nobody)
	c.drained("hello-hello-state-store", journal.Name)
	c.hold("hello-hello-state-store-table", hellos.Name, lastValues([]topology.Raw{greeting(1, 1), greeting(2, 2)}), i)
	if s := i.Status().Counts; s.Records != 6 || s.Dropped != 4 || s.DroppedNoKey != 4 {
		t.Errorf("records %d, dropped %d, want 6 and 4", s.Records, s.Dropped)
	}
}

// A journal whose producers use transactions has control records, also as its
// last one, and records that never were.
func TestJournalOfTransactions(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	c.transaction(kgo.TryAbort, journal.Name, greetings(20, 5)...)
	i := c.start(c.hello(), nil)
	i.await(processor.Running)
	for n := range 4 {
		c.transaction(kgo.TryCommit, journal.Name, greeting(1, n), greeting(2, n), topology.Raw{Key: []byte("testid-01")})
		c.transaction(kgo.TryAbort, journal.Name, greeting(1, 100+n), greeting(3, 100+n))
	}
	c.transaction(kgo.TryCommit, journal.Name, greeting(1, 50))
	c.materialized(i)
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}

	// And so has the changelog, from which another disk restores.
	other := c.start(c.hello(), nil)
	other.await(processor.Running)
	c.materialized(other)
	if s := other.Status().Counts; s.Records != 0 || s.Restored == 0 {
		t.Errorf("%d records were processed again, %d restored", s.Records, s.Restored)
	}
}

// A journal that goka has written lies in partitions of another hash.
func TestJournalOfAnotherPartitioner(t *testing.T) {
	t.Parallel()
	const partitions = 3
	c := newCluster(t, 1)
	c.create(journal.Name, partitions, nil)
	produce := func(raws ...topology.Raw) {
		t.Helper()
		var records []*kgo.Record
		for _, r := range raws {
			h := fnv.New32a()
			h.Write(r.Key)
			records = append(records, &kgo.Record{
				Topic: journal.Name, Key: r.Key, Value: r.Value, Partition: int32(h.Sum32() & 0x7fffffff % partitions),
			})
		}
		if err := c.client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	found := func(i *instance, from, to int) {
		t.Helper()
		view := processor.Query(i.Processor, hellos)
		for n := range 50 {
			r, ok, err := view.Get(t.Context(), fmt.Sprintf("testid-%02d", n))
			if want := n >= from && n < to; err != nil || ok != want || ok && r.Value.State != "HAPPY" {
				t.Errorf("key %d: %v, %v, %v, want that it is there: %v", n, r.Value, ok, err, want)
			}
		}
	}
	const warning = "input is not partitioned by murmur2"
	i := c.start(c.hello(), nil)
	produce(greetings(200, 40)...)
	c.materialized(i)
	found(i, 0, 40)
	if n := strings.Count(i.log.String(), warning); n != 1 {
		t.Errorf("%d warnings, want one", n)
	}
	produce(topology.Raw{Key: []byte("testid-00")}, topology.Raw{Key: []byte("testid-01")})
	c.materialized(i)
	found(i, 2, 40)
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}

	// That is known after a restart, and after a restore.
	i = c.start(c.hello(), keep(i.dir))
	i.await(processor.Running)
	found(i, 2, 40)
	produce(greeting(2, 1000))
	c.materialized(i)
	if n := strings.Count(i.log.String(), warning); n > 0 {
		t.Errorf("%d warnings after a restart, want none", n)
	}
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	other := c.start(c.hello(), nil)
	other.await(processor.Running)
	found(other, 2, 40)

	// A rebuilt sink has all rows, also those that lie where their hash is not.
	c.redis.FlushAll()
	c.materialized(other)
}

func TestRestartTask(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	c.create(counts.Name, 2, nil)
	var mu sync.Mutex
	var at []time.Time
	var errs []string
	i := c.start(c.count(), func(cfg *processor.Config) {
		cfg.OnError = func(err error) processor.Answer {
			mu.Lock()
			defer mu.Unlock()
			at, errs = append(at, time.Now()), append(errs, err.Error())
			return processor.RestartTask
		}
	})
	i.await(processor.Running)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Group: "count-hello-count-store", Err: kerr.InvalidTxnState})
	c.Fault(kfake.Fault{ // the next sessions fail at once
		Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.InvalidTxnState, TopLevel: true, Count: 3,
		When: func(r kmsg.Request) bool { return r.(*kmsg.InitProducerIDRequest).TransactionalID != nil },
	})
	c.produce(journal.Name, greetings(100, 7)...)
	c.counted(i)
	i.await(processor.Running)
	mu.Lock()
	defer mu.Unlock()
	if len(errs) != 4 || !strings.Contains(errs[0], "offsets of group") {
		t.Fatalf("OnError was called with %q, want a refused commit and three refused sessions", errs)
	}
	for n := 1; n < len(at); n++ {
		if least, pause := 50*time.Millisecond<<n-50*time.Millisecond, at[n].Sub(at[n-1]); pause < least {
			t.Errorf("pause %d: %v, want %v or more", n, pause, least)
		}
	}
	eventually(t, func() error { // a commit may be ending
		if s := i.Status(); s.Waiting != nil || s.Counts.Sessions != 5 || s.Counts.Records != 100 {
			return fmt.Errorf("waiting %v, %d sessions, %d records, want none, 5 and 100", s.Waiting, s.Counts.Sessions, s.Counts.Records)
		}
		return nil
	})
}

func TestStopInstance(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	i := c.start(c.hello(), func(cfg *processor.Config) {
		cfg.OnError = func(error) processor.Answer { return processor.StopInstance }
	})
	i.await(processor.Running)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.InvalidTxnState})
	c.produce(journal.Name, greeting(1, 1))
	if got := i.failed(); !strings.Contains(got, "group hello-hello-state-store: offsets of group") {
		t.Errorf("error %q", got)
	}

	// Another one need not wait for the session to time out.
	began := time.Now()
	other := c.start(c.hello(), nil)
	c.materialized(other)
	if took := time.Since(began); took > 2500*time.Millisecond {
		t.Errorf("the next instance worked after %v", took)
	}
}

func TestStopApplication(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 4, nil)
	stopping := func(cfg *processor.Config) {
		cfg.OnError = func(error) processor.Answer { return processor.StopApplication }
	}
	one, two := c.start(c.hello(), stopping), c.start(c.hello(), stopping)
	eventually(t, func() error {
		if a, b := len(one.Status().Tasks), len(two.Status().Tasks); a != 2 || b != 2 {
			return fmt.Errorf("%d and %d tasks", a, b)
		}
		return nil
	})
	one.await(processor.Running)
	two.await(processor.Running)
	c.produce(journal.Name, spoilt("testid-01"))
	const reason = "decode value: unexpected end of JSON input"
	got := []string{one.failed(), two.failed()}
	slices.SortFunc(got, func(a, b string) int { return len(a) - len(b) })
	name := one.Status().Instance
	if strings.Contains(one.err.Error(), "the application is stopped: ") {
		name = two.Status().Instance
	}
	if !strings.HasPrefix(got[0], "group hello-hello-state-store: record hello-log-store/") || !strings.HasSuffix(got[0], reason) {
		t.Errorf("where it happened: %q", got[0])
	}
	if want := "group hello-hello-state-store: the application is stopped: " + name + ": "; !strings.HasPrefix(got[1], want) || !strings.HasSuffix(got[1], reason) || strings.Contains(got[1], "\n") {
		t.Errorf("on the other one: %q, want %q", got[1], want)
	}

	// That is over when they are started again.
	began := time.Now()
	again := c.start(c.hello(), func(cfg *processor.Config) {
		keep(two.dir)(cfg)
		stopping(cfg)
		policies(topology.Policies{Decode: topology.Skip})(cfg)
	})
	again.await(processor.Running)
	c.drained("hello-hello-state-store", journal.Name)
	if took := time.Since(began); took > 2500*time.Millisecond {
		t.Errorf("the next instance worked after %v", took)
	}
}
