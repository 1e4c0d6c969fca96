package processor_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// Times go through a table and a topic as they are, at both ends of the range,
// whichever comes first. One that cannot be a record's is moved to the dead letters,
// and the times of those behind it are not touched.
func TestTimesGoThrough(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	in := topology.Topic[string, string]{Name: "in", Key: codec.String{}, Value: codec.String{}}
	c.create(in.Name, 1, nil)
	c.create("out", 1, nil)
	var raws []topology.Raw
	for i, at := range []int64{9_999_999_999_999, topology.MaxTime, 1764277200000, 0, 1, topology.MaxTime + 1, 1764277200001, topology.MaxTime - 1} {
		raws = append(raws, topology.Raw{Key: fmt.Append(nil, i), Value: []byte("v"), Time: time.UnixMilli(at)})
		c.produce(in.Name, raws[i]) // a batch of its own: this client, too, counts from the first time in nanoseconds
	}
	b := topology.NewBuilder("times")
	table := topology.Materialize(b, in, topology.Store[string, string]{Name: "rows"})
	topology.Publish(table, topology.Topic[string, string]{Name: "out"})
	i := c.start(build(t, b), policies(topology.Policies{Decode: topology.DeadLetter}))
	eventually(t, func() error {
		if at := c.committed("times-rows", in.Name, 0); at < int64(len(raws)) {
			return fmt.Errorf("committed up to %d", at)
		}
		return nil
	})
	want := []int64{topology.MaxTime, 1764277200000, 0, 1, 1764277200001, topology.MaxTime - 1}
	for _, topic := range []string{"out", "times-rows-table"} {
		var got []int64
		for _, r := range c.read(topic) {
			got = append(got, r.Time.UnixMilli())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("topic %s (-want +got):\n%s", topic, diff)
		}
	}
	letters := c.letters("times-dead-letters")
	if len(letters) != 2 {
		t.Errorf("%d dead letters, want 2", len(letters))
	}
	for _, l := range letters {
		if age := time.Since(l.Timestamp); age < -time.Hour || age > time.Hour {
			t.Errorf("the dead letter %s has the time %v", l.Key, l.Timestamp)
		}
	}
	i.await(processor.Running)
}
