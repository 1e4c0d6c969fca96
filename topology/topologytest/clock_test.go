package topologytest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

var (
	words = topology.Topic[string, string]{Name: "words", Key: codec.String{}, Value: codec.String{}}
	ticks = topology.Topic[string, string]{Name: "ticks", Key: codec.String{}, Value: codec.String{}}
	seen  = topology.Store[string, string]{Name: "seen", Key: codec.String{}, Value: codec.String{}}
)

// ticking tells when its timers run, and how many records it has seen since it
// was started and in all.
func ticking(c *topology.Context[string, string]) func(topology.Record[string, string]) error {
	rows, started := topology.Open(c, seen), 0
	tick := func(by topology.Clock, name string) func(time.Time) error {
		return func(now time.Time) error {
			if got := c.Now(by); !got.Equal(now) {
				return fmt.Errorf("it is %v, not %v", got, now)
			}
			kept := 0
			for range rows.All() {
				kept++
			}
			c.Emit(topology.Record[string, string]{Key: name, Value: fmt.Sprint(now.UnixMilli(), " ", started, " ", kept)})
			return nil
		}
	}
	c.Every(10*time.Millisecond, topology.StreamTime, tick(topology.StreamTime, "stream"))
	c.Every(20*time.Millisecond, topology.WallTime, tick(topology.WallTime, "wall"))
	return func(r topology.Record[string, string]) error {
		started++
		rows.Set(r.Key, r.Value)
		return nil
	}
}

func startTicking(t *testing.T, partitions int) *topologytest.Driver {
	t.Helper()
	b := topology.NewBuilder("ticking")
	topology.Publish(topology.Process(topology.Consume(b, words), ticking), ticks)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topologytest.New(t, topo, partitions)
}

func send(d *topologytest.Driver, partition int32, at int64, key string) {
	d.SendRaw(topology.Raw{
		Key: []byte(key), Value: []byte("x"), Time: time.UnixMilli(at),
		Position: topology.Position{Topic: "words", Partition: partition},
	})
}

func wantTicks(t *testing.T, d *topologytest.Driver, want ...string) {
	t.Helper()
	var got []string
	for _, r := range topologytest.Received(d, ticks) {
		got = append(got, fmt.Sprint(r.Key, " ", *r.Value, " at ", r.Time.UnixMilli()))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ticks (-want +got):\n%s", diff)
	}
}

// The two clocks move apart from each other.
func TestClocks(t *testing.T) {
	d := startTicking(t, 1)
	send(d, 0, 3, "a")
	wantTicks(t, d, "stream 3 1 1 at 3") // the first record is later than what came before
	send(d, 0, 9, "b")
	d.Advance(19 * time.Millisecond)
	wantTicks(t, d)
	send(d, 0, 35, "c") // once for 10, 20 and 30
	wantTicks(t, d, "stream 35 3 3 at 35")
	send(d, 0, 20, "d") // the clock does not go back
	wantTicks(t, d)
	d.Advance(42 * time.Millisecond) // to 61
	wantTicks(t, d, "wall 20 4 4 at 20", "wall 40 4 4 at 40", "wall 60 4 4 at 60")
	send(d, 0, 40, "e")
	wantTicks(t, d, "stream 40 5 5 at 40")
	d.Advance(0)
	wantTicks(t, d)
}

// A timer neither repeats nor loses a call over a restart, rows are there, and
// what the step kept in a variable is not.
func TestClocksAfterRestart(t *testing.T) {
	d := startTicking(t, 2)
	send(d, 0, 12, "a")
	send(d, 1, 15, "b")
	wantTicks(t, d, "stream 12 1 1 at 12", "stream 15 1 1 at 15")
	d.Advance(5 * time.Millisecond)
	d.Restart()
	send(d, 0, 19, "c")
	wantTicks(t, d)
	d.Move(1)
	send(d, 0, 20, "d")
	send(d, 1, 31, "e")
	wantTicks(t, d, "stream 20 2 3 at 20", "stream 31 1 2 at 31")
	d.Advance(15 * time.Millisecond) // to 20: both partitions
	wantTicks(t, d, "wall 20 2 3 at 20", "wall 20 1 2 at 20")
	if got := topologytest.Rows(d, seen); len(got) != 5 {
		t.Errorf("rows %v, want 5", got)
	}
}

func TestMisuseOfClocks(t *testing.T) {
	q := &quiet{TB: t}
	d := topologytest.New(q, build(t), 2)
	d.Move(2)
	d.Advance(-time.Second)
	want := []string{"partition 2: there are 2", "advance by -1s: the time of day does not go back"}
	if diff := cmp.Diff(want, q.failures); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
