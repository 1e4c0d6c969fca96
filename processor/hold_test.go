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

// What one partition waits for holds up no other: while the changelog of one takes
// no records, the others go on, and its own go on when it does again.
func TestPartitionWaitsAlone(t *testing.T) {
	t.Parallel()
	for _, refusal := range []*kerr.Error{kerr.NotEnoughReplicas, kerr.KafkaStorageError, kerr.LeaderNotAvailable} {
		t.Run(refusal.Message, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(journal.Name, 3, nil)
			i := c.start(c.hello(), nil)
			i.await(processor.Running)
			fault := c.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Produce}, Topic: "hello-hello-state-store-table", Partitions: []int32{1}, Err: refusal, Count: -1,
			})
			sent := greetings(300, 60)
			c.produce(journal.Name, sent...)
			goals := map[int32]int64{}
			for _, r := range sent {
				goals[topology.Partition(r.Key, 3)]++
			}
			group := "hello-hello-state-store"
			eventually(t, func() error {
				for _, p := range []int32{0, 2} {
					if at := c.committed(group, journal.Name, p); at < goals[p] {
						return fmt.Errorf("partition %d is at %d of %d", p, at, goals[p])
					}
				}
				return nil
			})
			if at := c.committed(group, journal.Name, 1); at != 0 {
				t.Errorf("partition 1 is at %d", at)
			}
			i.waits("topics to take records")
			c.produce(journal.Name, greetings(300, 60)...) // the others flow on
			eventually(t, func() error {
				for _, p := range []int32{0, 2} {
					if at := c.committed(group, journal.Name, p); at < 2*goals[p] {
						return fmt.Errorf("partition %d is at %d of %d", p, at, 2*goals[p])
					}
				}
				return nil
			})
			fault.Remove()
			c.materialized(i)
			if n := i.Status().Counts.Sessions; n > 12 {
				t.Errorf("%d sessions", n)
			}
		})
	}
}

// The same holds for an output: tasks that write to a partition which takes no records
// wait, once it is known that they do, and those that do not go on.
func TestOutputWaitsAlone(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 3, nil)
	c.create(counts.Name, 3, nil) // a count goes to the partition of its key, as the journal's records do
	i := c.start(c.count(), nil)
	i.await(processor.Running)
	fault := c.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: counts.Name, Partitions: []int32{1}, Err: kerr.NotEnoughReplicas, Count: -1,
	})
	goals := map[int32]int64{}
	group := "count-" + counted.Name
	for range 3 { // the others flow on
		sent := greetings(300, 60)
		c.produce(journal.Name, sent...)
		for _, r := range sent {
			goals[topology.Partition(r.Key, 3)]++
		}
		eventually(t, func() error {
			for _, p := range []int32{0, 2} {
				if at := c.committed(group, journal.Name, p); at < goals[p] {
					return fmt.Errorf("partition %d is at %d of %d", p, at, goals[p])
				}
			}
			return nil
		})
	}
	if at := c.committed(group, journal.Name, 1); at != 0 {
		t.Errorf("partition 1 is at %d", at)
	}
	i.waits("topics to take records")
	fault.Remove()
	c.counted(i)
	if n := i.Status().Counts.Sessions; n > 12 {
		t.Errorf("%d sessions", n)
	}
}
