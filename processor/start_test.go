package processor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// failed waits for Run to return an error, and returns its text.
func (i *instance) failed() string {
	i.t.Helper()
	select {
	case <-i.ended:
	case <-time.After(patience):
		i.t.Fatalf("Run goes on: %+v", i.Status())
	}
	if i.err == nil {
		i.t.Fatal("Run returned no error")
	}
	if s := i.Status(); s.State != processor.Failed || s.Err != i.err.Error() {
		i.t.Errorf("status is %v: %s", s.State, s.Err)
	}
	return i.err.Error()
}

// waits waits until the instance says what it is waiting for.
func (i *instance) waits(what string) {
	i.t.Helper()
	eventually(i.t, func() error {
		if s := i.Status(); !strings.Contains(fmt.Sprint(s.Waiting), what) {
			return fmt.Errorf("status is %v, %v: want %q", s.State, s.Waiting, what)
		}
		return nil
	})
}

// within changes the StartTimeout, and has Kafka's client try once.
func within(d time.Duration) func(*processor.Config) {
	return func(cfg *processor.Config) { cfg.StartTimeout, cfg.Kafka = d, impatient() }
}

func TestStartWithoutKafka(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	i := c.start(c.hello(), func(cfg *processor.Config) {
		within(100 * time.Millisecond)(cfg)
		cfg.Brokers = []string{nowhere, nowhere}
	})
	got := i.failed()
	if !strings.HasPrefix(got, "Kafka at 127.0.0.1:1,127.0.0.1:1: ") || !strings.Contains(got, "connection refused") ||
		!strings.HasSuffix(got, ": is it running, and are these its advertised addresses? (tried for 100ms)") || strings.Contains(got, "\n") {
		t.Errorf("error %q", got)
	}
}

func TestStartWaitsForKafka(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	c.produce(journal.Name, greetings(10, 3)...)
	c.network.Cut()
	i := c.start(c.hello(), within(patience))
	i.waits("Kafka at " + c.ListenAddrs()[0])
	if state := i.Status().State; state != processor.Starting {
		t.Errorf("state %v, want starting", state)
	}
	c.network.Mend()
	i.await(processor.Running)
	eventually(t, func() error {
		if s := i.Status(); s.Waiting != nil { // a commit may be under way
			return fmt.Errorf("running, and waits: %v", s.Waiting)
		}
		return nil
	})
	c.materialized(i)
}

func TestStartAtKafkaWithPasswords(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	secured, err := kfake.NewCluster(kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "p"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(secured.Close)
	i := c.start(c.hello(), func(cfg *processor.Config) {
		within(500 * time.Millisecond)(cfg)
		cfg.Brokers = secured.ListenAddrs()
	})
	if got := i.failed(); !strings.Contains(got, "does it want TLS or SASL, or refuse the password?") {
		t.Errorf("error %q", got)
	}
	i = c.start(c.hello(), func(cfg *processor.Config) {
		within(500 * time.Millisecond)(cfg)
		cfg.Brokers = secured.ListenAddrs()
		cfg.Kafka.Net.SASL.Enable, cfg.Kafka.Net.SASL.User, cfg.Kafka.Net.SASL.Password = true, "u", "p"
	})
	if got := i.failed(); !strings.Contains(got, "input topic") {
		t.Errorf("with the password: error %q, want that it is let in, and finds no topic", got)
	}
}

func TestStartIsCancelled(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	ends := func(i *instance) {
		t.Helper()
		began := time.Now()
		if err := i.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		if state := i.Status().State; state != processor.Stopped {
			t.Errorf("state %v, want stopped", state)
		}
	}

	// Before it starts.
	p, err := processor.New(c.hello(), processor.Config{Brokers: []string{nowhere}, StateDir: t.TempDir(), Kafka: impatient()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx); err != nil || p.Status().State != processor.Stopped {
		t.Errorf("Run: %v, state %v", err, p.Status().State)
	}

	// While it waits for Kafka.
	i := c.start(c.hello(), func(cfg *processor.Config) {
		within(patience)(cfg)
		cfg.Brokers = []string{nowhere}
	})
	i.waits("Kafka at ")
	ends(i)

	// While it joins.
	joins := c.Fault(kfake.Fault{Group: "hello-" + hellos.Name, Observe: true, Count: -1})
	i = c.start(c.hello(), nil)
	if err := joins.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ends(i)

	// While it waits for Redis.
	topo := c.hello()
	c.redis.Close()
	i = c.start(topo, nil)
	eventually(t, func() error {
		if tasks := i.Status().Tasks; len(tasks) != 2 || tasks[0].Sinks[0].Err == "" {
			return fmt.Errorf("tasks %+v", tasks)
		}
		return nil
	})
	ends(i)
}

func TestRunTwice(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	i := c.start(c.hello(), nil)
	i.await(processor.Running)
	const want = "processor: Run was called before"
	if err := i.Run(t.Context()); err == nil || err.Error() != want {
		t.Errorf("while it runs: %v, want %s", err, want)
	}
	c.produce(journal.Name, greetings(10, 3)...)
	c.materialized(i)
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	if err := i.Run(t.Context()); err == nil || err.Error() != want {
		t.Errorf("after its end: %v, want %s", err, want)
	}
	if s := i.Status(); s.State != processor.Stopped || s.Err != "" {
		t.Errorf("status %v: %s", s.State, s.Err)
	}
}

func TestStartNamesAllMissingTopics(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	b := topology.NewBuilder("missing")
	table := topology.Materialize(b, journal, hellos)
	topology.Publish(table, topology.Topic[string, hello]{Name: "missing-output-1"})
	topology.Publish(table, topology.Topic[string, hello]{Name: "missing-output-2"})
	other := journal
	other.Name = "missing-input"
	count := topology.Count(topology.Consume(b, other), counted)
	topology.Publish(count, topology.Topic[string, int64]{Name: "missing-output-3"})
	i := c.start(build(t, b), within(time.Second))
	got := strings.Split(i.failed(), "\n")
	want := []string{
		`output topic "missing-output-1" does not exist: create it, with as many partitions as instances may share`,
		`output topic "missing-output-2" does not exist: create it, with as many partitions as instances may share`,
		`input topic "missing-input" does not exist: create it, with as many partitions as instances may share`,
		`output topic "missing-output-3" does not exist: create it, with as many partitions as instances may share`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("error\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, name := range []string{"missing-" + hellos.Name + "-table", "missing-" + counted.Name + "-table"} {
		if c.TopicInfo(name) != nil {
			t.Errorf("changelog %s was created for a group that cannot run", name)
		}
	}
}

func TestStartRefusesChangelog(t *testing.T) {
	t.Parallel()
	const changelog = "hello-hello-state-store-table"
	for name, test := range map[string]struct {
		partitions int32
		policy     string
		want       string
	}{
		"of other partitions": {
			3, "compact",
			`changelog topic "hello-hello-state-store-table" has 3 partitions, but its input "hello-log-store" has 2: a table cannot be repartitioned, start it under another name`,
		},
		"that deletes": {
			2, "delete",
			`changelog topic "hello-hello-state-store-table" has cleanup.policy=delete and would lose rows: set it to compact`,
		},
		"that also deletes": {
			2, "compact,delete",
			`changelog topic "hello-hello-state-store-table" has cleanup.policy=compact,delete and would lose rows: set it to compact`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(journal.Name, 2, nil)
			c.create(changelog, test.partitions, map[string]string{"cleanup.policy": test.policy})
			if got := c.start(c.hello(), nil).failed(); got != test.want {
				t.Errorf("error %q, want %q", got, test.want)
			}
		})
	}
}

func TestStartMakesChangelogCompact(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 3, map[string]string{"cleanup.policy": "delete"})
	c.start(c.hello(), nil).await(processor.Running)
	info := c.TopicInfo("hello-hello-state-store-table")
	if info == nil || len(c.PartitionInfos(info.Topic)) != 3 || info.Configs["cleanup.policy"] == nil || *info.Configs["cleanup.policy"] != "compact" {
		t.Errorf("changelog is %+v", info)
	}
}

func TestStartWaitsForRedis(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	c.produce(journal.Name, greetings(10, 3)...)
	topo := c.hello()
	c.redis.Close()
	i := c.start(topo, nil)
	i.await(processor.Running)
	eventually(t, func() error {
		for _, task := range i.Status().Tasks {
			if s := task.Sinks[0]; !strings.Contains(s.Err, "connection refused") {
				return fmt.Errorf("%s/%d: %q", s.Sink, task.Partition, s.Err)
			}
		}
		return nil
	})
	if err := c.redis.Restart(); err != nil {
		t.Fatal(err)
	}
	c.materialized(i)
	eventually(t, func() error {
		for _, task := range i.Status().Tasks {
			if s := task.Sinks[0]; s.Err != "" || s.Lag > 0 {
				return fmt.Errorf("%s/%d: %+v", s.Sink, task.Partition, s)
			}
		}
		return nil
	})
}

func TestStartWithoutRedis(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	c.produce(journal.Name, greetings(10, 3)...)
	topo, addr := c.hello(), c.redis.Addr()
	c.redis.Close()
	i := c.start(topo, within(300*time.Millisecond))
	got := i.failed()
	if !strings.HasPrefix(got, "group hello-hello-state-store: redis "+addr+": ") ||
		!strings.HasSuffix(got, "connection refused (tried for 300ms)") || strings.Contains(got, "\n") {
		t.Errorf("error %q", got)
	}

	// The next start finds everything as it was left.
	if err := c.redis.Restart(); err != nil {
		t.Fatal(err)
	}
	c.materialized(c.start(c.hello(), keep(i.dir)))
}

func TestStartAtRedisWithPassword(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	c.redis.RequireAuth("secret")
	began := time.Now()
	i := c.start(c.hello(), nil)
	got := i.failed()
	if !strings.Contains(got, "set a password, as in redis://user:password@host:6379") || strings.Contains(got, "\n") {
		t.Errorf("error %q", got)
	}
	if r := (*topology.RefusedError)(nil); !errors.As(i.err, &r) {
		t.Errorf("error %#v is no *topology.RefusedError", i.err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v, as if that could pass", took)
	}
}
