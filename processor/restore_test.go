package processor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

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
