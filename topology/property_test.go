package topology_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

var (
	amounts   = topology.Topic[string, int64]{Name: "amounts", Key: codec.String{}, Value: codec.Int64{}}
	byDigit   = topology.Topic[int64, int64]{Name: "by-digit", Key: codec.Int64{}}
	newestRow = topology.Store[string, int64]{Name: "newest"}
	large     = topology.Store[string, int64]{Name: "large"}
	often     = topology.Store[string, int64]{Name: "often"}
	members   = topology.Store[int64, int64]{Name: "members"}
	worth     = topology.Store[int64, int64]{Name: "worth", Value: codec.Int64{}}
	seenSums  = topology.Store[string, int64]{Name: "seen-sums", Key: codec.String{}, Value: codec.Int64{}}
)

func digit(_ string, n int64) (int64, int64) { return n % 7, n }

func isLarge(_ string, n int64) (int64, bool) { return -n, n >= 50 }

func worthOf(_ int64, c topology.Change[int64], sum int64) int64 {
	if c.Old != nil {
		sum -= *c.Old
	}
	if c.New != nil {
		sum += *c.New
	}
	return sum
}

// summing sums what it sees, in a store of its own.
func summing(c *topology.Context[string, int64]) func(topology.Record[string, int64]) error {
	rows := topology.Open(c, seenSums)
	return func(r topology.Record[string, int64]) error {
		sum, _ := rows.Get(r.Key)
		rows.Set(r.Key, sum+r.Value)
		return nil
	}
}

func bookkeeping(b *topology.Builder) {
	table := topology.Materialize(b, amounts, newestRow)
	topology.Derive(table, large, isLarge)
	groups := topology.Regroup(table, byDigit, digit)
	topology.Count(groups, members)
	topology.Aggregate(groups, worth, worthOf)
	topology.Count(topology.Consume(b, amounts), often)
	topology.Process(topology.Consume(b, amounts), summing)
}

// A book is what bookkeeping keeps, by a plain loop.
type book struct {
	newest, large, often, sums map[string]int64
	members, worth             map[int64]int64
}

// kept is what a driver's tables hold.
func kept(d *topologytest.Driver) *book {
	return &book{
		newest: topologytest.Rows(d, newestRow), large: topologytest.Rows(d, large), often: topologytest.Rows(d, often),
		sums: topologytest.Rows(d, seenSums), members: topologytest.Rows(d, members), worth: topologytest.Rows(d, worth),
	}
}

func (x *book) take(key string, value int64, deleted bool) {
	if old, ok := x.newest[key]; ok {
		x.members[old%7]--
		x.worth[old%7] -= old
	}
	delete(x.large, key)
	delete(x.newest, key)
	if deleted {
		return
	}
	x.newest[key] = value
	x.members[value%7]++
	x.worth[value%7] += value
	if value >= 50 {
		x.large[key] = -value
	}
	x.often[key]++
	x.sums[key] += value
}

// For random records in random partitions' order, with restarts and moves of
// partitions between any two of them, tables are what a plain loop makes of them.
func TestTablesAreAPlainLoop(t *testing.T) {
	topo := build(t, bookkeeping)
	for seed := range uint64(25) {
		random := rand.New(rand.NewPCG(seed, 4))
		partitions := 1 + random.IntN(5)
		d := topologytest.New(t, topo, partitions)
		want := &book{
			newest: map[string]int64{}, large: map[string]int64{}, often: map[string]int64{}, sums: map[string]int64{},
			members: map[int64]int64{}, worth: map[int64]int64{},
		}
		for range 300 {
			switch key, n := fmt.Sprint("k", random.IntN(20)), random.Int64N(100); {
			case n < 15:
				topologytest.Delete(d, amounts, key)
				want.take(key, 0, true)
			default:
				topologytest.Send(d, amounts, key, n)
				want.take(key, n, false)
			}
			switch random.IntN(50) {
			case 0:
				d.Restart()
			case 1, 2:
				d.Move(random.IntN(partitions))
			}
		}
		got := kept(d)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(book{})); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}

// The same records give the same tables, however those of several partitions
// follow each other, and whatever is restarted in between.
func TestOrderOfPartitionsDoesNotMatter(t *testing.T) {
	const partitions = 4
	topo := build(t, bookkeeping)
	random := rand.New(rand.NewPCG(7, 7))
	queues := make([][]topology.Raw, partitions)
	for range 400 {
		r, err := amounts.Encode(fmt.Sprint("k", random.IntN(30)), random.Int64N(100))
		if err != nil {
			t.Fatal(err)
		}
		r.Partition = topology.Partition(r.Key, partitions)
		queues[r.Partition] = append(queues[r.Partition], r)
	}
	var first *book
	for range 10 {
		d := topologytest.New(t, topo, partitions)
		left := make([][]topology.Raw, partitions)
		copy(left, queues)
		for n := 0; n < 400; {
			p := random.IntN(partitions)
			if len(left[p]) == 0 {
				continue
			}
			d.SendRaw(left[p][0])
			left[p], n = left[p][1:], n+1
			if random.IntN(40) == 0 {
				d.Move(p)
			}
		}
		got := kept(d)
		if first == nil {
			first = got
		}
		if diff := cmp.Diff(first, got, cmp.AllowUnexported(book{})); diff != "" {
			t.Fatalf("another order (-first +now):\n%s", diff)
		}
	}
}
