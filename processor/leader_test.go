package processor_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/processor"
)

// The leaders of input, changelog and output move between three brokers while
// records come in. No session ends because of that.
func TestLeadersMove(t *testing.T) {
	changelog := "count-" + counted.Name + "-table"
	for name, topics := range map[string][]string{
		"input": {journal.Name}, "changelog": {changelog}, "output": {counts.Name},
		"all": {journal.Name, changelog, counts.Name},
	} {
		t.Run(name, func(t *testing.T) {
			c, i := counting(t, 3)
			for round := range int32(2) {
				for _, topic := range topics {
					for _, p := range c.PartitionInfos(topic) {
						c.produce(journal.Name, greetings(20, 20)...)
						if err := c.MoveTopicPartition(topic, p.Partition, (p.Leader+1+round%2)%3); err != nil {
							t.Fatal(err)
						}
					}
				}
				moved := time.Now()
				c.produce(journal.Name, greetings(50, 20)...)
				c.drained("count-"+counted.Name, journal.Name)
				t.Logf("went on after %v", time.Since(moved))
			}
			i.one()
			c.sound(i)
		})
	}
}

// Group and transaction coordinators move.
func TestCoordinatorsMove(t *testing.T) {
	c, i := counting(t, 3)
	for range 4 {
		before := c.CoordinatorFor("count-" + counted.Name)
		c.RehashCoordinators()
		moved := time.Now()
		c.produce(journal.Name, greetings(50, 20)...)
		c.drained("count-"+counted.Name, journal.Name)
		t.Logf("from %d to %d: went on after %v", before, c.CoordinatorFor("count-"+counted.Name), time.Since(moved))
	}
	if n := i.Status().Counts.Sessions; n != 1 {
		t.Errorf("the instance has joined %d times", n)
	}
	// A sink asks the coordinator before it writes a lost target anew.
	c.redis.FlushAll()
	c.counted(i)
	// A session that ends looks for the coordinator as well.
	for range 2 {
		for before := c.CoordinatorFor("count-" + counted.Name); c.CoordinatorFor("count-"+counted.Name) == before; {
			c.RehashCoordinators()
		}
		c.fail(kmsg.AddOffsetsToTxn, kerr.InvalidProducerEpoch, 1)
		c.drained("count-"+counted.Name, journal.Name)
	}
	c.produce(journal.Name, greetings(200, 20)...)
	c.counted(i)
	c.RehashCoordinators() // and nobody has noticed when it leaves
	if err := i.stop(); err != nil {
		t.Error(err)
	}
	if info := c.GroupInfo("count-" + counted.Name); len(info.Members) != 0 {
		t.Errorf("the group still has %d members", len(info.Members))
	}
}

// A restore goes on when the leader of its changelog moves.
func TestLeaderMovesDuringRestore(t *testing.T) {
	t.Parallel()
	c, b, _ := restoring(t, 3)
	changelog := hellosLog
	b.hold(0, 1, 2, 3)
	i := c.start(c.hello(), nil)
	i.await(processor.Restoring)
	for _, p := range c.PartitionInfos(changelog) {
		if err := c.MoveTopicPartition(changelog, p.Partition, (p.Leader+1)%3); err != nil {
			t.Fatal(err)
		}
	}
	b.release()
	i.await(processor.Running)
	c.materialized(i)
	if n := i.Status().Counts.Restored; n == 0 {
		t.Error("nothing was restored")
	}
	eventually(t, func() error {
		if waiting := i.Status().Waiting; waiting != nil {
			return fmt.Errorf("the instance says %v", waiting)
		}
		return nil
	})
}
