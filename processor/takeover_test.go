package processor_test

import (
	"fmt"
	"slices"
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
	for range 3 {
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
