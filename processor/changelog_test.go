package processor_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

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
