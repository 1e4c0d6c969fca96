package processor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/processor"
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

// An instance without a disk restores its tables; one with its disk restores
// nothing, and only what it lacks if others have gone on.
func TestRestore(t *testing.T) {
	t.Parallel()
	c, _, dir := restoring(t, 1)
	fresh := c.start(c.hello(), nil)
	fresh.await(processor.Running)
	all := fresh.Status().Counts.Restored
	if want := int64(len(c.read(hellosLog))); all != want {
		t.Errorf("restored %d records of %d", all, want)
	}
	c.materialized(fresh)
	c.produce(journal.Name, greetings(40, 40)...)
	c.materialized(fresh)
	if err := fresh.stop(); err != nil {
		t.Fatal(err)
	}

	again := c.start(c.hello(), keep(fresh.dir))
	again.await(processor.Running)
	if n := again.Status().Counts.Restored; n != 0 {
		t.Errorf("restored %d records with everything on the disk", n)
	}
	c.materialized(again)
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}

	behind := c.start(c.hello(), keep(dir))
	behind.await(processor.Running)
	if n := behind.Status().Counts.Restored; n == 0 || n > 40 {
		t.Errorf("restored %d records, want those of the last 40", n)
	}
	c.materialized(behind)
}

// A killed process finds its table as it is.
func TestRestoreAfterKill(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 3, nil)
	c.create(counts.Name, 2, nil)
	w := c.spawn(workerSpec{Dir: t.TempDir()})
	for range 5 {
		c.produce(journal.Name, greetings(100, 20)...)
		c.drained("count-"+counted.Name, journal.Name)
	}
	w.signal(os.Kill)
	w.killed()
	before := len(c.read("count-" + counted.Name + "-table"))
	i := c.start(c.count(), keep(w.dir))
	i.await(processor.Running)
	// LevelDB may lack the last batch or two.
	if n := i.Status().Counts.Restored; n > int64(before/2) {
		t.Errorf("restored %d of %d changelog records", n, before)
	}
	if i.log.contains("wiped") {
		t.Error("the table was wiped")
	}
	c.counted(i)
}

// The changelog is compacted while it is being read.
func TestCompactionDuringRestore(t *testing.T) {
	t.Parallel()
	c, b, _ := restoring(t, 1)
	before := len(c.read(hellosLog))
	b.hold(0, 1, 2, 3)
	i := c.start(c.hello(), nil)
	i.await(processor.Restoring)
	start := b.fetched()
	eventually(t, func() error {
		if b.fetched() < start+8 {
			return errors.New("not reading")
		}
		return nil
	})
	c.Compact()
	b.release()
	for n := b.fetched(); b.fetched() < n+6; { // half way through
		time.Sleep(time.Millisecond)
	}
	c.Compact()
	i.await(processor.Running)
	after := len(c.read(hellosLog))
	if after >= before {
		t.Fatalf("nothing was compacted: %d records, %d before", after, before)
	}
	c.materialized(i)
	if err := i.stop(); err != nil {
		t.Error(err)
	}
}

// While some partitions restore for long, another instance joins. Nobody waits
// for the restore, what is ready is served, and nobody is fenced: not even if the
// partitions are marked as those of the first instance, from before.
func TestRebalanceDuringRestore(t *testing.T) {
	for _, marked := range []bool{false, true} {
		t.Run(fmt.Sprintf("marked=%v", marked), func(t *testing.T) {
			t.Parallel()
			c, b, dir := restoring(t, 1)
			if err := os.RemoveAll(filepath.Join(dir, hellos.Name)); err != nil {
				t.Fatal(err)
			}
			if marked {
				c.mark(dir)
			}
			b.hold(1, 2, 3)
			one := c.start(c.hello(), keep(dir))
			eventually(t, func() error {
				if got := ready(one); !slices.Equal(got, []int32{0}) {
					return fmt.Errorf("partitions %v are ready", got)
				}
				return nil
			})
			two := c.start(c.hello(), nil)
			began := time.Now()
			eventually(t, func() error {
				if a, b := len(one.Status().Tasks), len(two.Status().Tasks); a != 2 || b != 2 {
					return fmt.Errorf("shares of %d and %d", a, b)
				}
				if got := append(ready(one), ready(two)...); !slices.Equal(got, []int32{0}) {
					return fmt.Errorf("partitions %v are ready", got)
				}
				return nil
			})
			if took := time.Since(began); took > 6*time.Second {
				t.Errorf("shared out after %v", took)
			}
			var live []topology.Raw
			for _, r := range greetings(200, 40) {
				if topology.Partition(r.Key, 4) == 0 {
					live = append(live, r)
				}
			}
			c.produce(journal.Name, live...)
			c.drained("hello-"+hellos.Name, journal.Name)
			b.release()
			c.materialized(one, two)
			for _, i := range []*instance{one, two} {
				if n := i.Status().Counts.Sessions; n != 1 {
					t.Errorf("an instance has joined %d times", n)
				}
			}
		})
	}
}

// ready returns the partitions of an instance that are restored.
func ready(i *instance) (partitions []int32) {
	for _, s := range i.Status().Tasks {
		if s.State == processor.Running {
			partitions = append(partitions, s.Partition)
		}
	}
	return partitions
}

// mark marks all partitions as those of the instance with a state directory, as
// they are when it was killed.
func (c *cluster) mark(dir string) {
	c.t.Helper()
	var identity struct{ Instance string }
	data, err := os.ReadFile(filepath.Join(dir, "identity.json"))
	if err = errors.Join(err, json.Unmarshal(data, &identity)); err != nil {
		c.t.Fatal(err)
	}
	group := "hello-" + hellos.Name
	owner := "tidemark-owner:" + group + "-" + identity.Instance
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = journal.Name, c.TopicInfo(journal.Name).TopicID
	for n, commit := range c.GroupInfo(group).Commits[journal.Name] {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = n, commit.Offset, &owner
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	if _, err := req.RequestWith(context.Background(), c.client); err != nil {
		c.t.Fatal(err)
	}
	if got := c.GroupInfo(group).Commits[journal.Name][0].Metadata; got != owner {
		c.t.Fatalf("marked with %q", got)
	}
}

// uncommitted are rows that no table must show.
func uncommitted(n int) (raws []topology.Raw) {
	for k := range n {
		raws = append(raws, greeting(k, 666_000+k))
	}
	return raws
}

// Whatever a changelog ends in, the restore finds its end.
func TestChangelogEnds(t *testing.T) {
	none := func() {}
	for name, leave := range map[string]func(*cluster) (then func()){
		"aborted": func(c *cluster) func() {
			c.transaction(kgo.TryAbort, hellosLog, uncommitted(50)...)
			return none
		},
		"marker": func(c *cluster) func() {
			c.transaction(kgo.TryCommit, hellosLog, greeting(0, 1))
			return none
		},
		"open, then aborted":   func(c *cluster) func() { return c.later(kgo.TryAbort) },
		"open, then committed": func(c *cluster) func() { return c.later(kgo.TryCommit) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, _ := restoring(t, 1)
			then := leave(c)
			i := c.start(c.hello(), nil)
			eventually(t, func() error {
				if s := i.Status(); s.State < processor.Restoring || s.State > processor.Running || len(s.Tasks) < 4 {
					return fmt.Errorf("%v, with %d tasks", s.State, len(s.Tasks))
				}
				return nil
			})
			then()
			i.await(processor.Running)
			c.hold(hellosLog, hellos.Name, lastValues(c.read(hellosLog)), i)
		})
	}
}

// later leaves a transaction in the changelog, and returns how it is ended: when
// it has been waited for.
func (c *cluster) later(end kgo.TransactionEndTry) func() {
	stable := map[int32]int64{}
	for _, p := range c.PartitionInfos(hellosLog) {
		stable[p.Partition] = p.HighWatermark
	}
	open := c.open(hellosLog, uncommitted(50)...)
	waited := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1, When: func(r kmsg.Request) bool {
		topics := r.(*kmsg.FetchRequest).Topics
		return len(topics) == 1 && topics[0].Topic == hellosLog &&
			topics[0].Partitions[0].FetchOffset == stable[topics[0].Partitions[0].Partition]
	}})
	return func() {
		c.t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := waited.Wait(ctx, 8); err != nil {
			c.t.Fatal(err)
		}
		if err := open.EndTransaction(ctx, end); err != nil {
			c.t.Fatal(err)
		}
	}
}

// A local table that does not go with its changelog is wiped, with a word.
func TestTableWiped(t *testing.T) {
	for name, w := range map[string]struct {
		harm func(c *cluster, dir string)
		word string
	}{
		"ahead": {func(c *cluster, dir string) {
			alter(c.t, dir, func(s *store.Store, source string) error {
				s.Put([]byte("stale"), []byte("{}"), 0)
				return s.Commit(1 << 40)
			})
		}, "but its changelog ends at"},
		"incarnation": {func(c *cluster, dir string) {
			alter(c.t, dir, func(s *store.Store, source string) error {
				s.Put([]byte("stale"), []byte("{}"), 0)
				return errors.Join(s.Commit(s.Position()), s.Begin("another"))
			})
		}, "another incarnation"},
		"truncated": {func(c *cluster, dir string) {
			alter(c.t, dir, func(s *store.Store, source string) error {
				s.Put([]byte("stale"), []byte("{}"), 0)
				return s.Commit(1)
			})
			for _, p := range c.PartitionInfos(hellosLog) {
				if err := c.DeleteRecords(hellosLog, p.Partition, p.LogStartOffset+2); err != nil {
					c.t.Fatal(err)
				}
			}
		}, "but its changelog begins at"},
		"damaged": {func(c *cluster, dir string) {
			files, err := filepath.Glob(filepath.Join(dir, hellos.Name, "*", "MANIFEST-*"))
			if err != nil || len(files) != 4 {
				c.t.Fatal(files, err)
			}
			for _, f := range files {
				if err := os.WriteFile(f, []byte("not a manifest"), 0o644); err != nil {
					c.t.Fatal(err)
				}
			}
		}, "its files are damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, dir := restoring(t, 1)
			w.harm(c, dir)
			want := lastValues(c.read(hellosLog))
			i := c.start(c.hello(), keep(dir))
			i.await(processor.Running)
			if n := strings.Count(i.log.String(), w.word); n != 4 {
				t.Errorf("the log says %q %d times, want once for each partition", w.word, n)
			}
			c.hold(hellosLog, hellos.Name, want, i)
			c.produce(journal.Name, greetings(40, 40)...)
			c.drained("hello-"+hellos.Name, journal.Name)
			c.hold(hellosLog, hellos.Name, lastValues(c.read(hellosLog)), i)
		})
	}
}

// alter opens the tables of a state directory.
func alter(t testing.TB, dir string, change func(s *store.Store, source string) error) {
	t.Helper()
	for p := range 4 {
		var source string
		s, _, err := store.Open(filepath.Join(dir, hellos.Name, strconv.Itoa(p)), false, func(o store.Origin) error {
			source = o.Source
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(change(s, source), s.Close(false)); err != nil {
			t.Fatal(err)
		}
	}
}

// A table that was left for longer than the changelog keeps tombstones may hold
// rows that were deleted meanwhile.
func TestTableTooOld(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 4, nil)
	c.create(hellosLog, 4, map[string]string{"cleanup.policy": "compact", "delete.retention.ms": "1500"})
	c.produce(journal.Name, greetings(200, 40)...)
	old := c.start(c.hello(), nil)
	c.materialized(old)
	if err := old.stop(); err != nil {
		t.Fatal(err)
	}
	left := time.Now()
	next := c.start(c.hello(), nil)
	for k := range 30 {
		c.produce(journal.Name, topology.Raw{Key: greeting(k, 0).Key})
	}
	c.materialized(next)
	for time.Since(left) < 2*time.Second {
		c.produce(journal.Name, greetings(40, 10)...)
		c.drained("hello-"+hellos.Name, journal.Name)
	}
	c.Compact()
	c.Compact()
	for _, r := range c.read(hellosLog) {
		if r.Value == nil {
			t.Errorf("there is still a tombstone: %s", r.Position)
		}
	}
	if err := next.stop(); err != nil {
		t.Fatal(err)
	}
	again := c.start(c.hello(), keep(old.dir))
	again.await(processor.Running)
	if !again.log.contains("the changelog keeps tombstones for 1.5s") {
		t.Error("the log says nothing of the table's age")
	}
	c.materialized(again)
}

// A task that lost its partition does not say that its table was current when it
// was closed: rows may have been deleted by the next owner.
func TestTableOfFencedIsNotCurrent(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 4, nil)
	c.produce(journal.Name, greetings(200, 40)...)
	i := c.start(c.hello(), func(cfg *processor.Config) {
		cfg.OnError = func(error) processor.Answer { return processor.StopInstance }
	})
	c.materialized(i)
	lost := time.Now()
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownMemberID, Count: -1})
	c.produce(journal.Name, greetings(200, 40)...)
	<-i.ended
	if i.err == nil {
		t.Error("the instance ended without an error")
	}
	for p := range 4 {
		s, _, err := store.Open(filepath.Join(i.dir, hellos.Name, strconv.Itoa(p)), false, func(o store.Origin) error {
			if o.Saved.After(lost) {
				t.Errorf("partition %d was current at %v, and lost at %v", p, o.Saved, lost)
			}
			return nil
		})
		if err = errors.Join(err, s.Close(false)); err != nil {
			t.Fatal(err)
		}
	}
}

// What cannot be a state directory is refused with its name.
func TestStateDirectoryUnusable(t *testing.T) {
	t.Parallel()
	c, _, dir := restoring(t, 1)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	i := c.start(c.hello(), keep(file))
	<-i.ended
	if i.err == nil || !strings.Contains(i.err.Error(), file) {
		t.Errorf("got %v, want an error with the name of the file", i.err)
	}

	// In place of a partition's directory lies a link to nowhere.
	table := filepath.Join(dir, hellos.Name, "2")
	if err := errors.Join(os.RemoveAll(table), os.Symlink("/dev/null/nowhere", table)); err != nil {
		t.Fatal(err)
	}
	i = c.start(c.hello(), func(cfg *processor.Config) {
		cfg.StateDir = dir
		cfg.OnError = func(error) processor.Answer { return processor.StopInstance }
	})
	<-i.ended
	if i.err == nil || !strings.Contains(i.err.Error(), table) {
		t.Errorf("got %v, want an error with the name of the directory", i.err)
	}
}
