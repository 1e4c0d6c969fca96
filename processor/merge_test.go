package processor_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

var (
	left  = topology.Topic[string, string]{Name: "left", Key: codec.String{}, Value: codec.String{}}
	right = topology.Topic[string, string]{Name: "right", Key: codec.String{}, Value: codec.String{}}
	lines = topology.Store[string, string]{Name: "lines"}
)

// lineTopology lines the records of two topics up.
func lineTopology(t testing.TB) *topology.Topology {
	b := topology.NewBuilder("line")
	topology.Aggregate(topology.Merge(topology.Consume(b, left), topology.Consume(b, right)), lines, func(_, v, line string) string {
		label, _, _ := strings.Cut(v, "|")
		return line + label + " "
	})
	return build(t, b)
}

// at is a record of a time, whose value is its topic and time, padded.
func at(topic string, time_, size int) topology.Raw {
	value := fmt.Sprintf("%s%d", topic[:1], time_)
	if size > 0 {
		value += "|" + strings.Repeat("x", size)
	}
	return topology.Raw{Key: []byte("key"), Value: []byte(value), Time: time.UnixMilli(int64(time_))}
}

// line is what the instance has lined up.
func (i *instance) line() string {
	rows := map[string]string{}
	_ = i.rows(lines.Name, rows)
	return rows["key"]
}

func (c *cluster) lined(i *instance, want string) {
	c.t.Helper()
	eventually(c.t, func() error {
		if got := i.line(); got != want {
			return fmt.Errorf("the line is %.200q, want %.200q", got, want)
		}
		return nil
	})
}

// Records that are there are taken in the order of their times, however many
// they are, of whichever size, and although each log ends with markers and
// records that were aborted.
func TestMergedInOrder(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(left.Name, 1, nil)
	c.create(right.Name, 1, nil)
	var want strings.Builder
	var small, large []topology.Raw
	for n := range 6000 {
		if n%3 == 1 {
			large = append(large, at(right.Name, n, 700))
		} else {
			small = append(small, at(left.Name, n, 0))
		}
		fmt.Fprintf(&want, "%c%d ", "lrl"[n%3], n)
	}
	for _, topic := range []string{left.Name, right.Name} {
		c.transaction(kgo.TryAbort, topic, at(topic, 0, 0))
	}
	c.transaction(kgo.TryCommit, left.Name, small...)
	c.produce(right.Name, large...)
	c.transaction(kgo.TryAbort, right.Name, at(right.Name, 1, 0), at(right.Name, 2, 0))
	i := c.start(lineTopology(t), nil)
	c.lined(i, want.String())
	// Both have run dry: what comes now is not waited for.
	c.produce(left.Name, at(left.Name, 9000, 0))
	fmt.Fprint(&want, "l9000 ")
	c.lined(i, want.String())
	c.transaction(kgo.TryAbort, left.Name, at(left.Name, 1, 0))
	c.produce(right.Name, at(right.Name, 8000, 0))
	fmt.Fprint(&want, "r8000 ")
	c.lined(i, want.String())
	// An open transaction does not hold up the other input.
	open := c.open(left.Name, at(left.Name, 1, 0))
	c.produce(right.Name, at(right.Name, 8001, 0))
	fmt.Fprint(&want, "r8001 ")
	c.lined(i, want.String())
	if err := open.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(&want, "l1 ")
	c.lined(i, want.String())
}

// A strait holds up what is fetched of a topic, which has a broker of its own.
type strait struct {
	mu    sync.Mutex
	held  string
	asked int
}

func (c *cluster) strait(topic string) *strait {
	s := &strait{held: topic}
	c.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		s.mu.Lock()
		defer s.mu.Unlock()
		req := r.(*kmsg.FetchRequest)
		if len(req.Topics) == 0 || req.Topics[0].Topic != s.held {
			return nil, nil, false
		}
		s.asked++
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		part := kmsg.NewFetchResponseTopicPartition()
		part.ErrorCode, part.RecordBatches = kerr.NotLeaderForPartition.Code, []byte{}
		of := kmsg.NewFetchResponseTopic()
		of.Topic, of.Partitions = topic, append(of.Partitions, part)
		resp.Topics = append(resp.Topics, of)
		return resp, nil, true
	})
	return s
}

func (s *strait) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = ""
}

func (s *strait) refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func idle(d time.Duration) func(*processor.Config) {
	return func(cfg *processor.Config) { cfg.MaxTaskIdle = d }
}

// An input that cannot be read is waited for, since its records may be older, unless a
// negative MaxTaskIdle says otherwise.
func TestMergeWaitsForUnknown(t *testing.T) {
	for _, c := range []struct {
		idle time.Duration
		want string
	}{{0, "r5 l10 "}, {time.Millisecond, "r5 l10 "}, {-1, "l10 r5 "}} {
		t.Run(c.idle.String(), func(t *testing.T) {
			t.Parallel()
			k := newCluster(t, 2)
			k.create(left.Name, 1, nil)
			k.create(right.Name, 1, nil)
			for broker, topic := range []string{left.Name, right.Name} {
				if err := k.MoveTopicPartition(topic, 0, int32(broker)); err != nil {
					t.Fatal(err)
				}
			}
			s := k.strait(right.Name)
			k.produce(left.Name, at(left.Name, 10, 0))
			k.produce(right.Name, at(right.Name, 5, 0))
			i := k.start(lineTopology(t), idle(c.idle))
			if c.idle < 0 {
				k.lined(i, "l10 ")
			} else {
				eventually(t, func() error {
					if s.refused() < 3 {
						return errors.New("it does not try again")
					}
					return nil
				})
				if got := i.line(); got != "" {
					t.Errorf("it has not waited: %s", got)
				}
			}
			s.release()
			k.lined(i, c.want)
		})
	}
}

// A positive MaxTaskIdle waits for a producer that is late, and not longer.
func TestMergeWaitsForLate(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(left.Name, 1, nil)
	c.create(right.Name, 1, nil)
	i := c.start(lineTopology(t), idle(2*time.Second))
	i.await(processor.Running)
	began := time.Now()
	c.produce(left.Name, at(left.Name, 10, 0))
	c.produce(right.Name, at(right.Name, 5, 0))
	if time.Since(began) > 1500*time.Millisecond {
		t.Skip("this machine is too slow to tell")
	}
	c.lined(i, "r5 l10 ")
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("l10 was taken after %v", took)
	}
	// Right has been idle for too long already: nothing is gained by waiting again.
	began = time.Now()
	c.produce(left.Name, at(left.Name, 20, 0))
	c.lined(i, "r5 l10 l20 ")
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("l20 was taken after %v", took)
	}
}

// One input far ahead, the other far behind: the one that waits does not hold up
// what is waited for, although both are of one broker.
func TestMergeDoesNotStall(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(left.Name, 1, nil)
	c.create(right.Name, 1, nil)
	var early, late []topology.Raw
	var want strings.Builder
	for n := range 20000 {
		early = append(early, at(left.Name, n, 0))
		fmt.Fprintf(&want, "l%d ", n)
	}
	for n := range 20000 {
		late = append(late, at(right.Name, 20000+n, 100))
		fmt.Fprintf(&want, "r%d ", 20000+n)
	}
	c.produce(left.Name, early...)
	c.produce(right.Name, late...)
	b := topology.NewBuilder("last")
	var got strings.Builder
	topology.ForEach(topology.Merge(topology.Consume(b, left), topology.Consume(b, right)), func(_, v string) {
		label, _, _ := strings.Cut(v, "|")
		got.WriteString(label + " ")
	})
	began := time.Now()
	i := c.start(build(t, b), nil)
	eventually(t, func() error {
		if n := i.Status().Counts.Records; n != 40000 {
			return fmt.Errorf("%d of 40000 records", n)
		}
		return nil
	})
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() {
		t.Error("not in order")
	}
}
