package processor_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemark-dev/tidemark/processor"
)

// Markers and aborted records at the end of an input are nothing to process.
func TestLagOfMarkers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 3, nil)
	for range 3 {
		c.transaction(kgo.TryCommit, journal.Name, moody(60, 20)...)
	}
	i := c.start(regrouped(t, states), nil)
	settled := func() {
		t.Helper()
		c.drained("regroup-"+journal.Name, journal.Name)
		c.drained("regroup-"+counted.Name, states.Name)
		eventually(t, func() error {
			for _, task := range i.Status().Tasks {
				if task.Lag != 0 {
					return fmt.Errorf("%s/%d is %d behind", task.Group, task.Partition, task.Lag)
				}
			}
			return nil
		})
	}
	i.await(processor.Running)
	settled()
	c.transaction(kgo.TryAbort, journal.Name, moody(60, 20)...)
	settled()
}
