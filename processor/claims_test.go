package processor_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// Three instances share the partition numbers of three topics: those with one
// number go together, whoever comes and goes.
func TestClaimsGoTogether(t *testing.T) {
	t.Parallel()
	s := newShop(t, 6)
	one := s.start(shopTopology(t, s.redis.Addr()), nil)
	s.trade(300)
	two, three := s.start(shopTopology(t, s.redis.Addr()), nil), s.start(shopTopology(t, s.redis.Addr()), nil)
	s.trade(300)
	s.together(6, one, two, three)
	s.trade(300)
	s.settled(one, two, three)
	if err := two.stop(); err != nil {
		t.Fatal(err)
	}
	s.trade(300)
	s.together(6, one, three)
	s.settled(one, three)
	for _, i := range []*instance{one, three} {
		if n := i.Status().Counts.Sessions; n != 1 {
			t.Errorf("an instance has joined %d times", n)
		}
	}
}

// together waits until the instances share all numbers out evenly, and sees that
// each line of their status has all inputs.
func (s *shop) together(all int, instances ...*instance) {
	s.t.Helper()
	eventually(s.t, func() error {
		var numbers []int
		for _, i := range instances {
			status := i.Status()
			if status.State != processor.Running || len(status.Tasks) != 2*all/len(instances) {
				return fmt.Errorf("an instance is %v, with %d lines: %s", status.State, len(status.Tasks), status.Err)
			}
			for n, line := range status.Tasks {
				var topics []string
				for _, at := range line.Committed {
					topics = append(topics, at.Topic)
					if at.Partition != line.Partition {
						return fmt.Errorf("%v is with partition %d", at, line.Partition)
					}
				}
				if !slices.Equal(topics, []string{customers.Name, orders.Name, refunds.Name}) {
					return fmt.Errorf("task %d reads %q", line.Partition, topics)
				}
				if want := []string{names.Name, totals.Name}[n%2]; line.Table != want {
					return fmt.Errorf("line %d is of table %q, want %q", n, line.Table, want)
				}
				numbers = append(numbers, int(line.Partition))
			}
		}
		slices.Sort(numbers)
		if len(slices.Compact(numbers)) != all {
			return fmt.Errorf("numbers %v", numbers)
		}
		return nil
	})
}

// A process with several inputs and tables is killed, over and over, at every
// step of a commit.
func TestKilledWithSeveralInputs(t *testing.T) {
	t.Parallel()
	s := newShop(t, 3)
	dir := t.TempDir()
	for k := range 8 {
		w := s.spawn(workerSpec{Shop: true, Dir: dir, Step: 1 + k%4, Commit: 2 + k/4})
		for alive := true; alive; {
			s.trade(20)
			select {
			case <-w.ended:
				alive = false
			case <-time.After(10 * time.Millisecond):
			}
		}
		w.killed()
		if k == 4 {
			dir = t.TempDir()
		}
	}
	i := s.start(shopTopology(t, s.redis.Addr()), keep(dir))
	s.settled(i)
}

// A member with another topology would have partitions that belong together taken
// apart. It is refused, and the others go on.
func TestClaimsOfStrangers(t *testing.T) {
	t.Parallel()
	s := newShop(t, 2)
	one := s.start(shopTopology(t, s.redis.Addr()), nil)
	one.await(processor.Running)
	b := topology.NewBuilder("shop")
	topology.Materialize(b, customers, names)
	other := s.start(build(t, b), nil)
	<-other.ended
	if err := other.err; err == nil || !strings.Contains(err.Error(), "different versions of the topology") {
		t.Errorf("the stranger ended with %v", err)
	}
	s.trade(100)
	s.settled(one)
	if n := one.Status().Counts.Sessions; n != 1 {
		t.Errorf("the instance has joined %d times", n)
	}
}

// A group without a table reads topics of different sizes, each record once,
// over a restart in the middle.
func TestClaimsWithoutTable(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(left.Name, 4, nil)
	c.create(right.Name, 2, nil)
	out := topology.Topic[string, string]{Name: "out", Key: left.Key, Value: left.Value}
	c.create(out.Name, 3, nil)
	topo := func() *topology.Topology {
		b := topology.NewBuilder("pass")
		topology.Publish(topology.Filter(topology.Merge(topology.Consume(b, left), topology.Consume(b, right)),
			func(_, v string) bool { return !strings.Contains(v, "7") }), out)
		return build(t, b)
	}
	want := map[string]string{}
	send := func(from int) {
		for _, topic := range []string{left.Name, right.Name} {
			var raws []topology.Raw
			for n := from; n < from+300; n++ {
				key := fmt.Sprintf("%s-%d", topic, n)
				raws = append(raws, topology.Raw{Key: []byte(key), Value: fmt.Append(nil, n)})
				if v := fmt.Sprint(n); !strings.Contains(v, "7") {
					want[key] = v
				}
			}
			c.produce(topic, raws...)
		}
	}
	send(0)
	one := c.start(topo(), nil)
	one.await(processor.Running)
	two := c.start(topo(), nil)
	eventually(t, func() error {
		for _, i := range []*instance{one, two} {
			if s := i.Status(); s.State != processor.Running || len(s.Tasks) != 2 || s.Tasks[0].Table != "" {
				return fmt.Errorf("%+v", s)
			}
		}
		return nil
	})
	send(1000)
	if err := one.stop(); err != nil {
		t.Fatal(err)
	}
	send(2000)
	one = c.start(topo(), keep(one.dir))
	send(3000)
	for _, topic := range []string{left.Name, right.Name} {
		c.drained("pass-left", topic)
	}
	got := c.read(out.Name)
	if len(got) != len(want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	for _, r := range got {
		if want[string(r.Key)] != string(r.Value) {
			t.Errorf("%s = %s, want %q", r.Key, r.Value, want[string(r.Key)])
		}
	}
}
