package processor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/processor"
	redissink "github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// watch collects the states of an instance until the last one.
func (i *instance) watch() (all func() []processor.State) {
	var states []processor.State
	var done sync.WaitGroup
	done.Go(func() {
		for s := range i.States(context.Background()) {
			states = append(states, s)
		}
	})
	return func() []processor.State {
		done.Wait()
		return states
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	c.produce(journal.Name, greetings(100, 5)...)
	i := c.start(c.hello(), nil)
	all := i.watch()
	i.await(processor.Running)

	// A session that fails comes back.
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Group: "hello-hello-state-store", Err: kerr.UnknownServerError})
	c.produce(journal.Name, greeting(1, 1))
	c.materialized(i)
	i.await(processor.Running)
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	states := all()
	again := slices.Index(states, processor.Running) + 1
	if again == 0 || !slices.Contains(states[again:], processor.Rebalancing) || !slices.Contains(states[again:], processor.Running) {
		t.Errorf("states %v: it did not run, rebalance, and run again", states)
	}
	if last := states[len(states)-2:]; !slices.Equal(last, []processor.State{processor.Stopping, processor.Stopped}) {
		t.Errorf("states %v end with %v", states, last)
	}
	if n := len(states); len(slices.Compact(slices.Clone(states))) != n {
		t.Errorf("states %v: one comes twice in a row", states)
	}
	if late := slices.Collect(i.States(t.Context())); !slices.Equal(late, []processor.State{processor.Stopped}) {
		t.Errorf("states after the end: %v", late)
	}
}

func TestStatesEndWithTheirContext(t *testing.T) {
	t.Parallel()
	p, err := processor.New(minimal(t), processor.Config{Brokers: []string{nowhere}, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for s := range p.States(ctx) {
		if s != processor.Starting {
			t.Errorf("state %v before Run", s)
		}
		cancel()
	}
	for range p.States(t.Context()) {
		break // and with their reader
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	i := c.start(c.hello(), nil) // its topic is missing
	err := i.Wait(t.Context(), processor.Running)
	if err == nil || !strings.Contains(err.Error(), "the processor is failed and will not be running\ninput topic") {
		t.Errorf("Wait for what cannot come any more: %v", err)
	}
	if err := i.Wait(t.Context(), processor.Failed); err != nil {
		t.Errorf("Wait for what has come: %v", err)
	}
	if err := i.Wait(t.Context(), processor.Stopped); err == nil {
		t.Error("Wait for another end: no error")
	}

	c.network.cut()
	i = c.start(c.hello(), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := i.Wait(ctx, processor.Running); err == nil || err.Error() != "waiting for state running: context deadline exceeded" {
		t.Errorf("Wait that takes too long: %v", err)
	}
	waited := make(chan error)
	go func() { waited <- i.Wait(context.Background(), processor.Running) }()
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err == nil || err.Error() != "the processor is stopped and will not be running" {
		t.Errorf("Wait until it is stopped: %v", err)
	}
	c.network.mend()
}

func TestStatus(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 3, nil)
	c.create(counts.Name, 1, nil)
	i := c.start(c.count(), nil)
	sent := greetings(60, 10)
	c.produce(journal.Name, sent...)
	c.counted(i)
	i.await(processor.Running)
	want := processor.Status{Application: "count", State: processor.Running}
	for p := range int32(3) {
		task := processor.TaskStatus{Group: "count-hello-count-store", Table: counted.Name, Partition: p, State: processor.Running}
		task.Committed = []topology.Position{{Topic: journal.Name, Partition: p, Offset: c.PartitionInfo(journal.Name, p).HighWatermark}}
		task.Sinks = []processor.SinkStatus{{Sink: "redis " + c.redis.Addr()}}
		want.Tasks = append(want.Tasks, task)
	}
	eventually(t, func() error { // the sink's place is noted after Redis has the rows
		got := i.Status()
		got.Instance, got.Counts = "", processor.Counts{}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("status (-want +got):\n%s", diff)
		}
		return nil
	})
	s := i.Status()
	if !strings.HasPrefix(s.Instance, "count-") || len(s.Instance) != len("count-")+12 {
		t.Errorf("instance %q", s.Instance)
	}
	n := s.Counts
	if n.Records != 60 || n.Published != 60 || n.Rows < 10 || n.Rows > 60 || n.Sessions != 1 || n.SinkRows < 10 || n.Restored != 0 {
		t.Errorf("counts %+v", n)
	}
	if n.Commits < 1 || n.CommitTime <= 0 || n.SinkSteps < 1 || n.SinkRebuilds != 0 {
		t.Errorf("counts %+v", n)
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var read processor.Status
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, read); diff != "" {
		t.Errorf("status in JSON (-want +got):\n%s", diff)
	}
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	if s := i.Status(); s.State != processor.Stopped || len(s.Tasks) != 0 || s.Counts.Records != 60 {
		t.Errorf("status after the end: %+v", s)
	}
}

// A slow sink takes its time for each step.
type slow struct{ *redissink.Sink }

func (s slow) Apply(ctx context.Context, batch topology.Batch) error {
	time.Sleep(100 * time.Millisecond)
	return s.Sink.Apply(ctx, batch)
}

// What was begun when Run is cancelled is committed, in Redis, and on disk.
func TestDrain(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	c.create(counts.Name, 1, nil)
	b := topology.NewBuilder("count")
	table := topology.Count(topology.Consume(b, journal), counted)
	topology.Publish(table, counts)
	topology.Sync(table, slow{&redissink.Sink{Addr: c.redis.Addr()}})
	i := c.start(build(t, b), nil)
	i.await(processor.Running)
	var producing sync.WaitGroup
	producing.Go(func() {
		for range 40 {
			c.produce(journal.Name, greetings(250, 30)...)
		}
	})
	eventually(t, func() error {
		if n := i.Status().Counts.Records; n < 500 {
			return fmt.Errorf("%d records", n)
		}
		return nil
	})
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	inRedis := c.redisRows(counted.Name)
	producing.Wait()

	totals := map[string]int{}
	for _, r := range c.read(journal.Name) {
		if r.Offset < c.committed("count-hello-count-store", journal.Name, r.Partition) {
			totals[string(r.Key)]++
		}
	}
	want, processed := map[string]string{}, 0
	for key, n := range totals {
		want[key] = fmt.Sprint(n)
		processed += n
	}
	if n := i.Status().Counts.Records; int(n) != processed {
		t.Errorf("%d records are committed, it says %d", processed, n)
	}
	if n := len(c.read(counts.Name)); n != processed {
		t.Errorf("%d records were published, want %d", n, processed)
	}
	for name, got := range map[string]map[string]string{"changelog": lastValues(c.read("count-hello-count-store-table")), "Redis": inRedis} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s after Run (-want +got):\n%s", name, diff)
		}
	}
	t.Logf("%d of 10000 records before the end", processed)
	i = c.start(c.count(), keep(i.dir))
	c.counted(i)
	if n := i.Status().Counts.Restored; n != 0 {
		t.Errorf("%d changelog records were restored: the table on disk was not complete", n)
	}
}

func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	i := c.start(c.hello(), func(cfg *processor.Config) { cfg.DrainTimeout = time.Second })
	i.await(processor.Running)
	c.Control(func(kmsg.Request) (kmsg.Response, error, bool) { // nobody is answered any more
		c.KeepControl()
		return nil, nil, true
	})
	began := time.Now()
	i.cancel()
	got := i.failed()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	if want := "not everything was committed within 1s: the next start repeats it from the last commit"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}

	// The directory is free, whatever still hangs.
	if got := refused(t, i.dir); strings.Contains(got, "in use") {
		t.Error(got)
	}
}

func TestDrainWithoutKafka(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	i := c.start(c.hello(), func(cfg *processor.Config) { cfg.DrainTimeout = 3 * time.Second })
	i.await(processor.Running)
	c.network.cut()
	began := time.Now()
	err := i.stop()
	if took := time.Since(began); err == nil || took > 5*time.Second {
		t.Errorf("Run returned %v after %v", err, took)
	}
	c.network.mend()
	c.produce(journal.Name, greetings(20, 3)...)
	c.materialized(c.start(c.hello(), keep(i.dir)))
}

// A last commit that is refused is an error: what was begun is not committed.
func TestDrainIsRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 1, nil)
	p, err := processor.New(c.hello(), processor.Config{Brokers: c.ListenAddrs(), StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var armed sync.Once
	p.OnStep(func(step int) {
		if step == 1 && p.Status().State == processor.Running {
			armed.Do(func() {
				c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownServerError})
				cancel()
			})
		}
	})
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	if err := p.Wait(ctx, processor.Running); err != nil {
		t.Fatal(err)
	}
	c.produce(journal.Name, greeting(1, 1))
	err = <-ended
	if err == nil || !strings.Contains(err.Error(), "offsets of group") || p.Status().State != processor.Failed {
		t.Errorf("Run: %v, state %v, want the refused commit", err, p.Status().State)
	}
}

// Two processors in one process, of one topology value and so with one sink.
func TestTwoProcessorsShareASink(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 4, nil)
	topo := c.hello()
	one, two := c.start(topo, nil), c.start(topo, nil)
	shared := func() error {
		if a, b := len(one.Status().Tasks), len(two.Status().Tasks); a != 2 || b != 2 {
			return fmt.Errorf("%d and %d tasks", a, b)
		}
		return nil
	}
	eventually(t, shared)
	c.produce(journal.Name, greetings(100, 20)...)
	c.materialized(one, two)
	if err := one.stop(); err != nil { // closes the sink
		t.Fatal(err)
	}
	c.produce(journal.Name, greetings(200, 20)...)
	c.materialized(two)
}

// Run leaves nothing behind. It is not run beside others, whose goroutines it
// would count.
func TestRunLeavesNoGoroutines(t *testing.T) {
	c := newCluster(t, 1)
	c.create(journal.Name, 3, nil)
	c.create(counts.Name, 1, nil)
	dir := t.TempDir()
	cycle := func() {
		t.Helper()
		i := c.start(c.count(), keep(dir))
		c.produce(journal.Name, greetings(100, 10)...)
		c.drained("count-hello-count-store", journal.Name)
		if err := i.stop(); err != nil {
			t.Fatal(err)
		}
	}
	settled := func() int {
		n, since := runtime.NumGoroutine(), time.Now()
		for time.Since(since) < 300*time.Millisecond {
			if now := runtime.NumGoroutine(); now < n {
				n, since = now, time.Now()
			}
			time.Sleep(5 * time.Millisecond)
		}
		return n
	}
	cycle()
	before := settled()
	cycle()
	cycle()
	c.start(minimal(t), keep(t.TempDir())).failed() // its topic is missing
	if after := settled(); after > before {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines after three more runs, %d after the first:\n%s", after, before, stacks[:runtime.Stack(stacks, true)])
	}
}

// The topic is there before the first record: to create it while records are
// processed would hold up every commit.
func TestDeadLettersAreThereBeforeTheFirstRecord(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		topic, application topology.Policies
		want               bool
	}{
		"nobody asks for it":  {topology.Policies{}, topology.Policies{Decode: topology.Skip}, false},
		"the topic's decode":  {topology.Policies{Decode: topology.DeadLetter}, topology.Policies{}, true},
		"the application's":   {topology.Policies{}, topology.Policies{Process: topology.DeadLetter}, true},
		"the topic overrides": {topology.Policies{Decode: topology.Fail, Process: topology.Skip}, topology.Policies{Decode: topology.DeadLetter, Process: topology.DeadLetter}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(journal.Name, 1, nil)
			i := c.start(fragile(t, test.topic), policies(test.application))
			i.await(processor.Running)
			if got := c.TopicInfo("fragile-dead-letters") != nil; got != test.want {
				t.Errorf("the topic is there: %v, want %v", got, test.want)
			}
		})
	}
}
