package processor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

var minutes = topology.Store[topology.Windowed[string], int64]{Name: "minutes"}

// minuteTopology counts by the minute, of two topics.
func minuteTopology(t testing.TB) *topology.Topology {
	b := topology.NewBuilder("minute")
	both := topology.Merge(topology.Consume(b, left), topology.Consume(b, right))
	topology.Count(topology.Window(both, topology.Tumbling{Size: time.Minute}), minutes)
	return build(t, b)
}

// minute is a record of the nth minute.
func minute(n int) topology.Raw {
	return topology.Raw{Key: []byte("key"), Value: []byte("value"), Time: time.UnixMilli(0).Add(time.Duration(n) * time.Minute)}
}

// What was late before a restart is late after it, on a disk without anything
// too: the clocks are committed beside the offsets.
func TestClocksSurvive(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(left.Name, 1, nil)
	c.create(right.Name, 1, nil)
	late := func(i *instance, dropped int64) {
		t.Helper()
		before := i.Status().Counts
		c.produce(left.Name, minute(3))
		eventually(t, func() error {
			if n := i.Status().Counts; n.Records != before.Records+1 || n.DroppedLate != before.DroppedLate+dropped || n.Dropped != n.DroppedLate {
				return fmt.Errorf("%d records, %d dropped", n.Records, n.Dropped)
			}
			return nil
		})
	}
	one := c.start(minuteTopology(t), nil)
	one.await(processor.Running)
	late(one, 0)
	late(one, 0)
	c.produce(right.Name, minute(9))
	c.drained("minute-minutes", right.Name)
	late(one, 1)
	if err := one.stop(); err != nil {
		t.Fatal(err)
	}
	commits := c.GroupInfo("minute-minutes").Commits
	if of := commits[left.Name][0].Metadata; !strings.HasPrefix(of, "tidemark-clocks:") || commits[right.Name][0].Metadata != "" {
		t.Errorf("metadata %q and %q, want the clocks in the first, and no owner", of, commits[right.Name][0].Metadata)
	}
	two := c.start(minuteTopology(t), nil)
	two.await(processor.Running)
	late(two, 1)
}

// Clocks that a record of the future has moved are set back while nobody runs, and
// refused to be while somebody does.
func TestSetBackClocks(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(left.Name, 1, nil)
	c.create(right.Name, 1, nil)
	c.produce(left.Name, minute(3), minute(1_000_000))
	one := c.start(minuteTopology(t), nil)
	c.drained("minute-minutes", left.Name)
	if n, err := one.SetBackClocks(context.Background(), minute(4).Time); err == nil || n != 0 || !strings.Contains(err.Error(), "does an instance still run") {
		t.Errorf("while an instance runs: %d, %v", n, err)
	}
	if err := one.stop(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 0} {
		if n, err := one.SetBackClocks(context.Background(), minute(4).Time); err != nil || n != want {
			t.Errorf("call %d: %d, %v, want %d", i, n, err, want)
		}
	}
	c.produce(left.Name, minute(4), minute(3))
	two := c.start(minuteTopology(t), keep(one.dir))
	two.await(processor.Running)
	c.drained("minute-minutes", left.Name)
	eventually(t, func() error {
		if n := two.Status().Counts; n.Records != 2 || n.Dropped != 1 {
			return fmt.Errorf("%d records, %d dropped, want 2 and 1", n.Records, n.Dropped)
		}
		return nil
	})
}

// Setting clocks back asks where the coordinator is now, and ends with its context.
func TestSetBackClocksOnAMovingCluster(t *testing.T) {
	t.Parallel()
	begun := func(t *testing.T) (*cluster, *instance) {
		c := newCluster(t, 1)
		c.create(left.Name, 1, nil)
		c.create(right.Name, 1, nil)
		c.produce(left.Name, minute(3), minute(1_000_000))
		i := c.start(minuteTopology(t), nil)
		c.drained("minute-minutes", left.Name)
		if err := i.stop(); err != nil {
			t.Fatal(err)
		}
		return c, i
	}
	for _, key := range []kmsg.Key{kmsg.OffsetFetch, kmsg.OffsetCommit} {
		t.Run("moved/"+key.Name(), func(t *testing.T) {
			c, i := begun(t)
			moved := c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: kerr.NotCoordinator, Count: 1})
			if n, err := i.SetBackClocks(t.Context(), minute(4).Time); err != nil || n != 1 || moved.Hits() != 1 {
				t.Errorf("%d, %v, want 1, after %d refusals", n, err, moved.Hits())
			}
		})
		t.Run("silent/"+key.Name(), func(t *testing.T) {
			c, i := begun(t)
			hung := c.hang(key)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-hung
				cancel()
			}()
			if n, err := i.SetBackClocks(ctx, minute(4).Time); !errors.Is(err, context.Canceled) || n != 0 {
				t.Errorf("%d, %v", n, err)
			}
		})
	}
}

// Clocks that the broker has no room for end the instance, with the cure.
func TestClocksTooLarge(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(left.Name, 1, nil)
	c.create(right.Name, 1, nil)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.OffsetMetadataTooLarge, Count: 1})
	i := c.start(minuteTopology(t), nil)
	<-i.ended
	if i.err == nil || !strings.Contains(i.err.Error(), "raise offset.metadata.max.bytes") {
		t.Errorf("ended with %v", i.err)
	}
}

// Rows whose group has lost its offsets are not counted on: neither when the
// offsets have expired, nor when they are those of another group. With the cure
// that is named everything is counted anew.
func TestOffsetsLost(t *testing.T) {
	sum := topology.Store[string, int64]{Name: "sum", Key: codec.String{}}
	cut := func(t testing.TB, joined bool) *topology.Topology {
		b := topology.NewBuilder("shop")
		known := topology.Materialize(b, customers, names)
		amounts := topology.Consume(b, orders)
		if joined {
			amounts = topology.Join(amounts, known, topology.Left(func(_ string, amount int64, _ *string) int64 { return amount }))
		}
		topology.Aggregate(amounts, sum, func(_ string, amount, sum int64) int64 { return amount + sum })
		return build(t, b)
	}
	for name, after := range map[string]func(t *testing.T, s *shop) *topology.Topology{
		"put together to one group": func(t *testing.T, _ *shop) *topology.Topology { return cut(t, true) },
		"expired": func(t *testing.T, s *shop) *topology.Topology {
			s.forget("shop-names")
			return cut(t, true)
		},
		"cut into other groups": func(t *testing.T, _ *shop) *topology.Topology { return cut(t, false) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, 2)
			apart := name == "put together to one group"
			one := s.start(cut(t, !apart), nil)
			s.trade(100)
			s.drained(map[bool]string{true: "shop-sum", false: "shop-names"}[apart], orders.Name)
			if err := one.stop(); err != nil {
				t.Fatal(err)
			}
			want := lastValues(s.read("shop-sum-table"))
			topo := after(t, s)
			two := s.start(topo, keep(one.dir))
			<-two.ended
			if two.err == nil || !strings.Contains(two.err.Error(), "would count everything twice") {
				t.Fatalf("ended with %v", two.err)
			}
			s.forget("shop-names")
			if err := errors.Join(s.DeleteTopic("shop-names-table"), s.DeleteTopic("shop-sum-table")); err != nil {
				t.Fatal(err)
			}
			three := s.start(topo, keep(one.dir))
			three.await(processor.Running)
			s.drained(map[bool]string{true: "shop-sum", false: "shop-names"}[name == "cut into other groups"], orders.Name)
			s.drained("shop-names", customers.Name)
			got, known := lastValues(s.read("shop-sum-table")), lastValues(s.read("shop-names-table"))
			if len(known) != shopKeys {
				t.Errorf("%d names", len(known))
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("counted anew: %v, want %v", got, want)
			}
		})
	}
}

// forget deletes a group, if there is one.
func (c *cluster) forget(group string) {
	c.t.Helper()
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Groups = []string{group}
	if _, err := del.RequestWith(context.Background(), c.client); err != nil {
		c.t.Fatal(err)
	}
}

// A timer by the time of day goes off without a record, and what it writes is
// committed. Its error is the session's.
func TestTimers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(left.Name, 2, nil)
	out := topology.Topic[string, string]{Name: "out", Key: codec.String{}, Value: codec.String{}}
	c.create(out.Name, 1, nil)
	kept := topology.Store[string, string]{Name: "kept", Key: codec.String{}, Value: codec.String{}}
	broken := errors.New("the clock is broken")
	b := topology.NewBuilder("timer")
	topology.Publish(topology.ProcessValues(topology.Consume(b, left), func(x *topology.Context[string, string]) func(topology.Record[string, string]) error {
		rows := topology.Open(x, kept)
		x.Every(50*time.Millisecond, topology.WallTime, func(time.Time) error {
			for key, value := range rows.All() {
				if value == "broken" {
					return broken
				}
				x.Emit(topology.Record[string, string]{Key: key, Value: value})
				rows.Delete(key)
			}
			return nil
		})
		return func(r topology.Record[string, string]) error {
			rows.Set(r.Key, r.Value)
			return nil
		}
	}), out)
	i := c.start(build(t, b), func(cfg *processor.Config) {
		cfg.OnError = func(err error) processor.Answer {
			if errors.Is(err, broken) {
				return processor.StopInstance
			}
			return processor.RestartTask
		}
	})
	want := map[string]string{}
	for n := range 30 {
		key := fmt.Sprint("key-", n)
		want[key] = fmt.Sprint(n)
		c.produce(left.Name, topology.Raw{Key: []byte(key), Value: []byte(want[key])})
	}
	eventually(t, func() error {
		got := c.read(out.Name)
		if len(got) != len(want) || fmt.Sprint(lastValues(got)) != fmt.Sprint(want) {
			return fmt.Errorf("%d records: %v", len(got), lastValues(got))
		}
		return nil
	})
	eventually(t, func() error {
		if rows := lastValues(c.read("timer-kept-table")); len(rows) > 0 {
			return fmt.Errorf("rows %v", rows)
		}
		return nil
	})
	c.produce(left.Name, topology.Raw{Key: []byte("last"), Value: []byte("broken")})
	<-i.ended
	if !errors.Is(i.err, broken) {
		t.Errorf("ended with %v", i.err)
	}
}
