package processor_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// quiet is for processors that are not started by a cluster.
var quiet = slog.New(slog.DiscardHandler)

const fence = "tidemark:fence:hello-state-store:"

// inRedis waits until Redis holds exactly these rows of a store, and returns how
// long that took.
func inRedis(t *testing.T, r *miniredis.Miniredis, store string, want map[string]string) time.Duration {
	t.Helper()
	began := time.Now()
	eventually(t, func() error {
		got := map[string]string{}
		for _, key := range r.Keys() {
			if name, ok := strings.CutPrefix(key, store+":"); ok {
				got[name], _ = r.Get(key)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("Redis (-want +got):\n%s", diff)
		}
		return nil
	})
	return time.Since(began)
}

// sinkErrs are what the sinks of an instance wait for.
func sinkErrs(i *instance) (errs []string) {
	for _, task := range i.Status().Tasks {
		for _, s := range task.Sinks {
			if s.Err != "" {
				errs = append(errs, s.Err)
			}
		}
	}
	return errs
}

func TestSinkIsDownAndBack(t *testing.T) {
	t.Parallel()
	for name, empty := range map[string]bool{"with its rows": false, "empty": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(journal.Name, 2, nil)
			i := c.start(c.hello(), nil)
			c.produce(journal.Name, greetings(50, 10)...)
			c.materialized(i)
			c.redis.Close()
			c.produce(journal.Name, greetings(75, 15)...)
			c.produce(journal.Name, topology.Raw{Key: []byte("testid-03")})
			want := lastValues(c.drained("hello-hello-state-store", journal.Name))
			eventually(t, func() error { // the table goes on
				if diff := cmp.Diff(want, rowsOf(t, i)); diff != "" {
					return errors.New(diff)
				}
				return nil
			})
			eventually(t, func() error {
				if errs := sinkErrs(i); len(errs) != 2 || !strings.Contains(errs[0], "connection refused") {
					return fmt.Errorf("sinks wait for %q", errs)
				}
				return nil
			})
			if empty {
				c.redis.FlushAll()
			}
			if err := c.redis.Restart(); err != nil {
				t.Fatal(err)
			}
			c.materialized(i)
			eventually(t, func() error {
				if errs := sinkErrs(i); len(errs) > 0 {
					return fmt.Errorf("sinks wait for %q", errs)
				}
				return nil
			})
			if n, want := i.Status().Counts.SinkRebuilds, map[bool]int64{false: 0, true: 2}[empty]; n != want {
				t.Errorf("%d rebuilds, want %d", n, want)
			}
		})
	}
}

func rowsOf(t *testing.T, i *instance) map[string]string {
	t.Helper()
	got := map[string]string{}
	if err := i.rows(hellos.Name, got); err != nil {
		t.Fatal(err)
	}
	return got
}

// A target that was emptied is filled again, also if nothing is written any more.
func TestSinkIsFlushed(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	i := c.start(c.hello(), nil)
	c.produce(journal.Name, greetings(1000, 500)...)
	c.materialized(i)
	want := c.redisRows(hellos.Name)
	c.redis.FlushAll()
	if took := inRedis(t, c.redis, hellos.Name, want); took > 8*time.Second {
		t.Errorf("an idle target was filled again after %v", took)
	}
	c.redis.FlushAll()
	for n := range 20 { // and while records come
		c.produce(journal.Name, greetings(50+n, 20)...)
	}
	c.materialized(i)
	if n := i.Status().Counts.SinkRebuilds; n < 4 {
		t.Errorf("%d rebuilds, want two for each loss", n)
	}
}

// Rows that the table does not have are removed when the sink is rebuilt, those
// of others are not.
func TestSinkSweeps(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 3, nil)
	for n := range 1500 {
		c.redis.Set(fmt.Sprintf("hello-state-store:stale-%d", n), "stale")
	}
	others := []string{"hello-state-stor:a", "hello-state-store", "hello-state-store2:a", "other:hello-state-store:a", `hello-state-store\:a:b`}
	for _, key := range others {
		c.redis.Set(key, "other")
	}
	c.produce(journal.Name, greetings(50, 10)...)
	i := c.start(c.hello(), nil)
	c.materialized(i)
	keys := c.redis.Keys()
	for _, key := range others {
		if !slices.Contains(keys, key) {
			t.Errorf("%s was swept", key)
		}
	}
}

// What a target says about where it stands is believed only as far as it can be
// true. In each case it has lost a row, has an old one, and holds one that was
// deleted: none of it is seen by the sink, which compares positions only.
func TestSinkStandsElsewhere(t *testing.T) {
	t.Parallel()
	offset := func(position string, change func(int64) int64) string {
		parts := strings.Split(position, "@")
		n, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		parts[1] = strconv.FormatInt(change(n), 10)
		return strings.Join(parts, "@")
	}
	for name, test := range map[string]struct {
		tamper func(position string) string // "": the fence is deleted
		reason string                       // "": no rebuild
	}{
		"nowhere":                  {func(string) string { return "" }, "the target knows nothing of the table"},
		"ahead of the end":         {func(p string) string { return offset(p, func(n int64) int64 { return n + 1_000_000 }) }, "and the changelog ends at"},
		"in a foreign position":    {func(string) string { return "a position" }, `the target's position \"a position\" is not ours`},
		"in another incarnation":   {func(p string) string { return "AAAAAAAAAAAAAAAAAAAAAA" + p[strings.Index(p, "@"):] }, "the target followed another incarnation of the table"},
		"in an unfinished rebuild": {func(p string) string { return p + "+3" }, "an earlier rebuild did not finish"},
		"where tombstones are gone": {func(p string) string {
			return offset(p, func(n int64) int64 { return 1 })[:strings.LastIndex(p, "@")-1] + "@1000000000"
		}, "the changelog keeps tombstones for"},
		"back": {func(p string) string { return offset(p, func(int64) int64 { return 0 }) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(journal.Name, 1, nil)
			i := c.start(c.hello(), nil)
			c.produce(journal.Name, append(greetings(50, 10), topology.Raw{Key: []byte("testid-09")})...)
			c.materialized(i)
			eventually(t, func() error {
				if s := i.Status().Tasks[0].Sinks[0]; s.Lag > 0 {
					return fmt.Errorf("lag %d", s.Lag)
				}
				return nil
			})
			tamper := func() {
				c.redis.Del("hello-state-store:testid-01")
				c.redis.Set("hello-state-store:testid-02", `{"state":"ANGRY"}`)
				c.redis.Set("hello-state-store:testid-09", `{"state":"ANGRY"}`)
				if to := test.tamper(c.redis.HGet(fence+"0", "position")); to != "" {
					c.redis.HSet(fence+"0", "position", to)
				} else {
					c.redis.Del(fence + "0")
				}
			}
			check := func(i *instance, before int64) {
				t.Helper()
				c.materialized(i)
				if test.reason == "" {
					if n := i.Status().Counts.SinkRebuilds; n != before {
						t.Errorf("%d rebuilds, want none: the changelog has everything", n-before)
					}
				} else if !i.log.contains(test.reason) {
					t.Errorf("the log does not say %q", test.reason)
				}
			}

			tamper() // while it runs
			check(i, 0)
			if err := i.stop(); err != nil {
				t.Fatal(err)
			}
			tamper() // while it does not
			check(c.start(c.hello(), keep(i.dir)), 0)
		})
	}
}

func TestTwoSinksOfATable(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	other := miniredis.RunT(t)
	b := topology.NewBuilder("hello")
	table := topology.Materialize(b, journal, hellos)
	topology.Sync(table, &redis.Sink{Addr: c.redis.Addr()})
	topology.Sync(table, &redis.Sink{Addr: c.redis.Addr(), Category: "copy:of"})
	topology.Sync(table, &redis.Sink{Addr: other.Addr()})
	i := c.start(build(t, b), nil)
	c.produce(journal.Name, greetings(50, 10)...)
	c.materialized(i)
	want := c.redisRows(hellos.Name)
	inRedis(t, c.redis, `copy\:of`, want)
	inRedis(t, other, hellos.Name, want)

	// Each has its own troubles.
	other.SetError("LOADING Redis is loading the dataset in memory")
	c.produce(journal.Name, greetings(90, 15)...)
	c.materialized(i)
	inRedis(t, c.redis, `copy\:of`, c.redisRows(hellos.Name))
	other.SetError("")
	inRedis(t, other, hellos.Name, c.redisRows(hellos.Name))
}

// A broken sink answers nothing but errors.
type broken struct{}

var errBroken = errors.New("broken")

func (broken) String() string { return "broken" }

func (broken) Open(context.Context, topology.Source, int64) (topology.Place, error) {
	return topology.Place{}, errBroken
}

func (broken) Apply(context.Context, topology.Batch) error { return errBroken }

func (broken) Keys(context.Context, topology.Source) iter.Seq2[topology.Held, error] {
	return func(yield func(topology.Held, error) bool) { yield(topology.Held{}, errBroken) }
}

func TestSinkIsBroken(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	b := topology.NewBuilder("hello")
	table := topology.Materialize(b, journal, hellos)
	topology.Sync(table, broken{})
	topology.Sync(table, &redis.Sink{Addr: c.redis.Addr()})
	i := c.start(build(t, b), nil)
	i.await(processor.Running)
	c.produce(journal.Name, greetings(500, 10)...)
	c.materialized(i)
	if errs := sinkErrs(i); !slices.Equal(errs, []string{"broken", "broken"}) {
		t.Errorf("sinks wait for %q", errs)
	}
	for _, task := range i.Status().Tasks {
		if s := task.Sinks[0]; s.Sink != "broken" || s.Lag == 0 {
			t.Errorf("partition %d: %+v", task.Partition, s)
		}
	}
	began := time.Now()
	if err := i.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the end took %v", took)
	}
}

// A target that refuses is waited for, once it has been reached: somebody may
// change what it refuses.
func TestSinkRefuses(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 1, nil)
	i := c.start(c.hello(), func(cfg *processor.Config) { cfg.StartTimeout = 2 * time.Second })
	c.produce(journal.Name, greetings(50, 10)...)
	c.materialized(i)
	c.redis.SetError("NOPERM this user has no permissions to run the 'evalsha' command")
	c.produce(journal.Name, greetings(90, 15)...)
	eventually(t, func() error {
		if errs := sinkErrs(i); len(errs) != 1 || !strings.Contains(errs[0], "the user needs +eval +evalsha") {
			return fmt.Errorf("sinks wait for %q", errs)
		}
		return nil
	})
	c.drained("hello-hello-state-store", journal.Name)
	if s := i.Status(); s.State != processor.Running {
		t.Errorf("state %v", s.State)
	}
	c.redis.SetError("")
	c.materialized(i)
	eventually(t, func() error {
		if errs := sinkErrs(i); len(errs) > 0 {
			return fmt.Errorf("sinks wait for %q", errs)
		}
		return nil
	})
}

// A writer that has taken the target of a partition that it does not own loses
// it again to the owner.
func TestSinkIsFencedByAStranger(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 1, nil)
	i := c.start(c.hello(), nil)
	c.produce(journal.Name, greetings(50, 10)...)
	c.materialized(i)
	epoch := func() int64 {
		n, _ := strconv.ParseInt(c.redis.HGet(fence+"0", "epoch"), 10, 64)
		return n
	}
	stranger := epoch() + 3_600_000_000
	c.redis.HSet(fence+"0", "epoch", strconv.FormatInt(stranger, 10))
	c.produce(journal.Name, greetings(90, 15)...)
	eventually(t, func() error {
		if errs := sinkErrs(i); len(errs) != 1 || !strings.Contains(errs[0], topology.ErrFenced.Error()) {
			return fmt.Errorf("sinks wait for %q", errs)
		}
		return nil
	})
	c.materialized(i)
	if now := epoch(); now <= stranger {
		t.Errorf("epoch %d, want a later one than %d", now, stranger)
	}
	if n := i.Status().Counts.SinkRebuilds; n != 0 {
		t.Errorf("%d rebuilds, want none but the first filling", n)
	}
}

// A reader of Redis never sees a count go down: not after a loss, not over
// restarts, not on another disk.
func TestSinkNeverGoesBack(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	c.create(counts.Name, 1, nil)
	ctx, end := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	seen := map[string]int{}
	var reads atomic.Int64
	watching.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
			for n := range 8 {
				key := fmt.Sprintf("%s:testid-%02d", counted.Name, n)
				value, err := c.redis.Get(key)
				if err != nil {
					continue // lost, and not back yet
				}
				count, err := strconv.Atoi(value)
				if err != nil || count < seen[key] {
					t.Errorf("%s went from %d to %q", key, seen[key], value)
				}
				seen[key] = count
				reads.Add(1)
			}
		}
	})
	i := c.start(c.count(), nil)
	for n := range 6 {
		for range 10 {
			c.produce(journal.Name, greetings(40, 8)...)
		}
		switch n {
		case 1, 3:
			c.redis.FlushAll()
		case 2, 4:
			if err := i.stop(); err != nil {
				t.Fatal(err)
			}
			c.redis.FlushAll()
			dir := i.dir
			if n == 4 {
				dir = t.TempDir()
			}
			i = c.start(c.count(), keep(dir))
			i.await(processor.Running)
		}
	}
	c.counted(i)
	eventually(t, func() error {
		if n := reads.Load(); n < 100 {
			return fmt.Errorf("it has read %d values", n)
		}
		return nil
	})
	end()
	watching.Wait()
	if len(seen) != 8 {
		t.Errorf("it has read values of %v", slices.Sorted(maps.Keys(seen)))
	}
}

// An instance that Kafka has given up, and that does not know it yet, takes
// nothing from the new owner of its partitions.
func TestSinkOfAZombie(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	c.create(counts.Name, 1, nil)
	one := c.start(c.count(), func(cfg *processor.Config) { cfg.DrainTimeout = 500 * time.Millisecond })
	c.produce(journal.Name, greetings(100, 10)...)
	c.counted(one)

	// What one asks of the coordinators is never answered.
	zombie := one.Status().Instance
	c.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		switch r := r.(type) {
		case *kmsg.HeartbeatRequest:
			return nil, nil, r.InstanceID != nil && *r.InstanceID == zombie
		case *kmsg.AddPartitionsToTxnRequest:
			return nil, nil, strings.HasSuffix(r.TransactionalID, zombie)
		case *kmsg.EndTxnRequest:
			return nil, nil, strings.HasSuffix(r.TransactionalID, zombie)
		}
		return nil, nil, false
	})
	two := c.start(c.count(), nil)
	eventually(t, func() error {
		if n := len(two.Status().Tasks); n != 2 {
			return fmt.Errorf("%d tasks", n)
		}
		return nil
	})
	c.produce(journal.Name, greetings(100, 10)...)
	c.counted()
	if n := len(one.Status().Tasks); n != 2 {
		t.Fatalf("the zombie has %d tasks: it is none", n)
	}
	for until := time.Now().Add(3 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		for key, value := range c.redisRows(counted.Name) {
			if value != "20" {
				t.Fatalf("%s went back to %q", key, value)
			}
		}
	}
}
