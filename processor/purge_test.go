package processor_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// moody are greetings in some states.
func moody(n, states int) (raws []topology.Raw) {
	for i := range n {
		raws = append(raws, in(fmt.Sprintf("state-%d", i%states), fmt.Sprintf("key-%d", i)))
	}
	return raws
}

// What is committed of a repartition topic is deleted, by the owners of its
// partitions; what is not, is not.
func TestPurge(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	c.create(journal.Name, 3, nil)
	c.produce(journal.Name, moody(300, 20)...)
	one, two := c.start(regrouped(t, states), nil), c.start(regrouped(t, states), nil)
	one.await(processor.Running)
	two.await(processor.Running)
	c.drained("regroup-"+journal.Name, journal.Name)
	c.drained("regroup-"+counted.Name, states.Name)
	purged := func() (n int) {
		for _, p := range c.PartitionInfos(states.Name) {
			committed := c.GroupInfo("regroup-" + counted.Name).Commits[states.Name][p.Partition].Offset
			if p.LogStartOffset != 0 && p.LogStartOffset != committed {
				t.Errorf("partition %d begins at %d, and %d are committed", p.Partition, p.LogStartOffset, committed)
			}
			if p.LogStartOffset == committed {
				n++
			}
		}
		return n
	}
	eventually(t, func() error { // each has some of the partitions
		if err := one.Purge(); err != nil {
			return err
		}
		if n := purged(); n < 1 || n > 2 {
			return fmt.Errorf("the first has purged %d of 3 partitions", n)
		}
		return nil
	})
	eventually(t, func() error {
		if err := two.Purge(); err != nil {
			return err
		}
		if n := purged(); n != 3 {
			return fmt.Errorf("both have purged %d of 3 partitions", n)
		}
		return nil
	})

	// What was purged is not missed.
	c.produce(journal.Name, moody(300, 20)...)
	c.drained("regroup-"+journal.Name, journal.Name)
	c.drained("regroup-"+counted.Name, states.Name)
	for key, n := range lastValues(c.read("regroup-" + counted.Name + "-table")) {
		if n != "30" {
			t.Errorf("%s is counted %s times, want 30", key, n)
		}
	}
	if err := one.stop(); err != nil {
		t.Error(err)
	}
}

// Of two readers of a topic, the slower one decides.
func TestPurgeWaitsForEveryReader(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 1, nil)
	b := topology.NewBuilder("twice")
	byState := topology.SelectKey(topology.Consume(b, journal), func(_ string, h hello) string { return h.State })
	through := topology.Repartition(byState, states)
	topology.Count(through, counted)
	topology.ToTable(through, hellos)
	slow := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Group: "twice-" + hellos.Name, Err: kerr.UnknownServerError, Count: -1})
	i := c.start(build(t, b), nil)
	c.produce(journal.Name, moody(100, 5)...)
	c.drained("twice-"+journal.Name, journal.Name)
	c.drained("twice-"+counted.Name, states.Name)
	if err := i.Purge(); err != nil {
		t.Fatal(err)
	}
	if start := c.PartitionInfo(states.Name, 0).LogStartOffset; start != 0 {
		t.Errorf("the topic begins at %d, and one of its readers has committed nothing", start)
	}
	slow.Remove()
	c.drained("twice-"+hellos.Name, states.Name)
	eventually(t, func() error {
		if err := i.Purge(); err != nil {
			return err
		}
		if start := c.PartitionInfo(states.Name, 0).LogStartOffset; start < 100 {
			return fmt.Errorf("the topic begins at %d", start)
		}
		return nil
	})
}
