package processor_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/processor"
)

// Instances that start together share the partitions out without a stall: each
// disturbs the joins of the others.
func TestInstancesStartTogether(t *testing.T) {
	t.Parallel()
	for range 2 {
		c := newCluster(t, 1)
		c.create(journal.Name, 6, nil)
		c.create(counts.Name, 2, nil)
		c.produce(journal.Name, greetings(300, 40)...)
		began := time.Now()
		var all []*instance
		for range 3 {
			all = append(all, c.start(c.count(), nil))
		}
		c.shared(all...)
		c.drained("count-"+counted.Name, journal.Name)
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("drained after %v", took)
		}
		c.counted(all...)
		for _, i := range all {
			if err := i.stop(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A rebalance costs nobody his membership: no commit falls between the broker's
// new generation and the member's.
func TestRebalanceKeepsMembership(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 6, nil)
	c.create(counts.Name, 2, nil)
	// The answer to a JoinGroup takes a while, in which commits would be refused.
	c.ControlKey(int16(kmsg.SyncGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		c.SleepControl(func() { time.Sleep(100 * time.Millisecond) })
		return nil, nil, false
	})
	one := c.start(c.count(), nil)
	c.until(func() bool { return len(one.Status().Tasks) == 6 })
	two := c.start(c.count(), nil)
	c.until(func() bool { return len(two.Status().Tasks) == 3 })
	c.shared(one, two)
	c.counted(one, two)
	for _, i := range []*instance{one, two} {
		if n := i.Status().Counts.Sessions; n != 1 {
			t.Errorf("an instance has joined %d times", n)
		}
	}
}

// A join that is disturbed several times costs no more than a moment.
func TestJoinDisturbed(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 3, nil)
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.SyncGroup}, Err: kerr.RebalanceInProgress, Count: 5})
	began := time.Now()
	i := c.start(c.hello(), nil)
	i.await(processor.Running)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("running after %v", took)
	}
	if n := h.Hits(); n != 5 {
		t.Errorf("the join was disturbed %d times, want 5", n)
	}
	c.produce(journal.Name, greetings(100, 10)...)
	c.materialized(i)
}

// workerCounting is a cluster with one worker, which has records to count.
func workerCounting(t *testing.T) (*cluster, *worker) {
	t.Helper()
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 4, nil)
	c.create(counts.Name, 2, nil)
	c.produce(journal.Name, greetings(300, 30)...)
	return c, c.spawn(workerSpec{Dir: t.TempDir()})
}

// A worker is killed with records and outputs in an open transaction. The
// survivor serves its partitions when the session is over, not when the
// transaction is.
func TestTakeoverFromKilled(t *testing.T) {
	c, w := workerCounting(t)
	c.drained("count-"+counted.Name, journal.Name)
	survivor := c.start(c.count(), nil)
	survivor.await(processor.Running)
	eventually(t, func() error {
		if n := len(survivor.Status().Tasks); n != 2 {
			return fmt.Errorf("the survivor has %d partitions of 4", n)
		}
		return nil
	})
	c.freeze(w)
	c.until(func() bool { return c.unstable() > 0 }) // its records were sent, and are on their way
	died := time.Now()
	w.signal(syscall.SIGKILL)
	w.killed()
	c.produce(journal.Name, greetings(300, 30)...)
	c.drained("count-"+counted.Name, journal.Name)
	// The session takes 3s, the transaction 10s and more.
	if took := time.Since(died); took > 7*time.Second {
		t.Errorf("taken over after %v", took)
	} else {
		t.Logf("taken over after %v", took)
	}
	c.counted(survivor)
	if !survivor.log.contains("ending the transaction of a partition's last owner") {
		t.Error("the survivor has not ended the transaction of the dead owner")
	}
}

// unstable returns how many partitions have an open transaction.
func (c *cluster) unstable() (n int) {
	for _, topic := range []string{counts.Name, "count-" + counted.Name + "-table"} {
		for _, p := range c.PartitionInfos(topic) {
			if p.LastStableOffset < p.HighWatermark {
				n++
			}
		}
	}
	return n
}

// An instance that stops in good order gives its partitions up at once, and has
// left the group.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 4, nil)
	c.create(counts.Name, 2, nil)
	c.produce(journal.Name, greetings(300, 30)...)
	patient := func(cfg *processor.Config) { cfg.SessionTimeout = patience }
	one, two := c.start(c.count(), patient), c.start(c.count(), patient)
	c.shared(one, two)
	c.produce(journal.Name, greetings(300, 30)...)
	began := time.Now()
	if err := one.stop(); err != nil {
		t.Error(err)
	}
	info := c.GroupInfo("count-" + counted.Name)
	if len(info.Members) != 1 {
		t.Errorf("the group has %d members, want 1", len(info.Members))
	}
	c.produce(journal.Name, greetings(300, 30)...)
	c.drained("count-"+counted.Name, journal.Name)
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("handed over after %v", took)
	} else {
		t.Logf("handed over after %v", took)
	}
	c.counted(two)
	if err := two.stop(); err != nil {
		t.Error(err)
	}
	info = c.GroupInfo("count-" + counted.Name)
	if len(info.Members) != 0 {
		t.Errorf("the group still has %d members", len(info.Members))
	}
	for p, commit := range info.Commits[journal.Name] {
		if strings.Contains(commit.Metadata, "tidemark-owner:") {
			t.Errorf("partition %d is still marked: %q", p, commit.Metadata)
		}
	}
}

// A process is stopped in the middle of a commit for longer than its session,
// and then goes on with it: the commit is refused, and the process joins again by
// itself. Nothing is counted twice.
func TestZombie(t *testing.T) {
	c, zombie := workerCounting(t)
	survivor := c.start(c.count(), nil)
	has := func(n int) func() bool {
		return func() bool { s := survivor.Status(); return s.State == processor.Running && len(s.Tasks) == n }
	}
	c.until(has(2))
	c.freeze(zombie)
	zombie.signal(syscall.SIGSTOP)
	c.until(has(4))
	c.drained("count-"+counted.Name, journal.Name)
	zombie.signal(syscall.SIGUSR1)
	zombie.signal(syscall.SIGCONT)
	c.until(has(2))
	c.counted()
	zombie.signal(syscall.SIGTERM)
	<-zombie.ended
	if zombie.err != nil {
		t.Errorf("the zombie ended with %v", zombie.err)
	}
	if !zombie.log.contains("waiting") {
		t.Error("the zombie has not noticed")
	}
	c.counted(survivor)
}

// A process that was stopped for longer than its session is told to end when it goes
// on: its last commit is refused, by the fence of who has its partitions now, and it
// ends in good order.
func TestZombieStops(t *testing.T) {
	c, zombie := workerCounting(t)
	survivor := c.start(c.count(), nil)
	has := func(n int) func() bool {
		return func() bool { s := survivor.Status(); return s.State == processor.Running && len(s.Tasks) == n }
	}
	c.until(has(2))
	c.freeze(zombie)
	zombie.signal(syscall.SIGSTOP)
	c.until(has(4))
	zombie.signal(syscall.SIGTERM)
	zombie.signal(syscall.SIGUSR1)
	zombie.signal(syscall.SIGCONT)
	<-zombie.ended
	if zombie.err != nil {
		t.Errorf("the zombie ended with %v", zombie.err)
	}
	c.counted(survivor)
}

// A changelog that is made anew under a running process is noticed at the next
// commit: the table goes on from what the new topic holds, and so does Redis.
func TestChangelogRecreated(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	c.produce(journal.Name, greetings(200, 20)...)
	i := c.start(c.hello(), nil)
	c.materialized(i)
	changelog := "hello-" + hellos.Name + "-table"
	if err := c.DeleteTopic(changelog); err != nil {
		t.Fatal(err)
	}
	c.create(changelog, 2, map[string]string{"cleanup.policy": "compact"})
	for k := range 40 {
		c.produce(journal.Name, greeting(k%10, 1000+k))
	}
	select {
	case <-i.ended:
	case <-time.After(patience):
		t.Fatal("the instance goes on")
	}
	if i.err == nil || !strings.Contains(i.err.Error(), `changelog topic "hello-hello-state-store-table" has lost the rows of table "hello-state-store"`) {
		t.Errorf("the instance ended with %v, want that the rows are lost", i.err)
	}
}

// shared waits until the instances run and have all partitions of the journal,
// each its part.
func (c *cluster) shared(instances ...*instance) {
	c.t.Helper()
	all := len(c.PartitionInfos(journal.Name))
	eventually(c.t, func() error {
		var shares []int
		for _, i := range instances {
			s := i.Status()
			if s.State != processor.Running {
				return fmt.Errorf("an instance is %v: %s", s.State, s.Err)
			}
			shares = append(shares, len(s.Tasks))
		}
		sum := 0
		for _, n := range shares {
			sum += n
		}
		if sum != all || slices.Min(shares) == 0 {
			return fmt.Errorf("the instances have %v of %d partitions", shares, all)
		}
		return nil
	})
}
