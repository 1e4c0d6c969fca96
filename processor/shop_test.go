package processor_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	redissink "github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// The shop has a group of three inputs and two tables: customers are kept,
// orders and refunds are summed up, and each of them is published with the
// customer's name.
var (
	customers = topology.Topic[string, string]{Name: "customers", Key: codec.String{}, Value: codec.String{}}
	orders    = topology.Topic[string, int64]{Name: "orders", Key: codec.String{}, Value: codec.JSON[int64]{}}
	refunds   = topology.Topic[string, int64]{Name: "refunds", Key: codec.String{}, Value: codec.JSON[int64]{}}
	bills     = topology.Topic[string, string]{Name: "bills", Key: codec.String{}, Value: codec.String{}}
	names     = topology.Store[string, string]{Name: "names"}
	totals    = topology.Store[string, int64]{Name: "totals"}
)

const shopGroup = "shop-names"

func shopTopology(t testing.TB, redis string) *topology.Topology {
	b := topology.NewBuilder("shop")
	known := topology.Materialize(b, customers, names)
	amounts := topology.Merge(topology.Consume(b, orders), topology.Consume(b, refunds))
	sums := topology.Aggregate(topology.Filter(topology.Join(amounts, known, topology.Left(func(_ string, amount int64, _ *string) int64 { return amount })),
		func(string, int64) bool { return true }), totals, func(_ string, amount, sum int64) int64 { return sum + amount })
	topology.Publish(topology.Join(amounts, known, topology.Left(func(_ string, amount int64, name *string) string {
		if name == nil {
			return fmt.Sprintf("%d of a stranger", amount)
		}
		return fmt.Sprintf("%d of %s", amount, *name)
	})), bills)
	topology.Sync(sums, &redissink.Sink{Addr: redis})
	return build(t, b)
}

// A shop is a cluster with the shop's topics, and what was sent to it.
type shop struct {
	*cluster
	n    int64
	sums map[string]int64
	want []string // lines of bills
}

func newShop(t testing.TB, partitions int32) *shop {
	s := &shop{cluster: newCluster(t, 1), sums: map[string]int64{}}
	for _, name := range []string{customers.Name, orders.Name, refunds.Name, bills.Name} {
		s.create(name, partitions, nil)
	}
	for k := range shopKeys {
		s.produce(customers.Name, topology.Raw{Key: shopKey(k), Value: fmt.Append(nil, "Mr ", k), Time: time.UnixMilli(1000)})
	}
	return s
}

const shopKeys = 20

func shopKey(k int) []byte { return fmt.Appendf(nil, "customer-%02d", k) }

// trade sends n orders and as many refunds, each of another amount.
func (s *shop) trade(n int) {
	s.t.Helper()
	var out, back []topology.Raw
	for i := range n {
		key := shopKey(i % shopKeys)
		amount := func(sign int64) []byte {
			s.n++
			a := sign * s.n
			s.sums[string(key)] += a
			s.want = append(s.want, fmt.Sprintf("%s: %d of Mr %d", key, a, i%shopKeys))
			return strconv.AppendInt(nil, a, 10)
		}
		out = append(out, topology.Raw{Key: key, Value: amount(1), Time: time.UnixMilli(2000 + s.n)})
		back = append(back, topology.Raw{Key: key, Value: amount(-1), Time: time.UnixMilli(2000 + s.n)})
	}
	s.produce(orders.Name, out...)
	s.produce(refunds.Name, back...)
}

// settled waits until all is processed, and compares everything.
func (s *shop) settled(instances ...*instance) {
	s.t.Helper()
	for _, topic := range []string{customers.Name, orders.Name, refunds.Name} {
		s.drained(shopGroup, topic)
	}
	var got []string
	for _, r := range s.read(bills.Name) {
		got = append(got, fmt.Sprintf("%s: %s", r.Key, r.Value))
	}
	slices.Sort(got)
	want := slices.SortedFunc(slices.Values(s.want), cmp.Compare[string])
	if diff := gocmp.Diff(want, got); diff != "" {
		s.t.Errorf("bills (-want +got):\n%s", diff)
	}
	sums := map[string]string{}
	for key, sum := range s.sums {
		sums[key] = strconv.FormatInt(sum, 10)
	}
	s.hold("shop-totals-table", totals.Name, sums, instances...)
	known := lastValues(s.read(customers.Name))
	eventually(s.t, func() error {
		got := map[string]string{}
		for _, i := range instances {
			if err := i.rows(names.Name, got); err != nil {
				return err
			}
		}
		if diff := gocmp.Diff(known, got); diff != "" && len(instances) > 0 {
			return fmt.Errorf("names (-want +got):\n%s", diff)
		}
		return nil
	})
}
