package orders_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/internal/proof/orders"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// The shop's tables and outputs are what plain Go computes, whatever is
// restarted or moved.
func TestShop(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprintf("%d partitions", partitions), func(t *testing.T) {
			shop := orders.NewShop("")
			topo, err := shop.Topology(nil)
			if err != nil {
				t.Fatal(err)
			}
			d, ledger := topologytest.New(t, topo, partitions), orders.NewLedger(shop)
			for i, r := range records(t, shop, 8_000) {
				r.Partition = topology.Partition(r.Key, int32(partitions))
				d.SendRaw(r)
				if err := ledger.Add(r); err != nil {
					t.Fatal(err)
				}
				switch i % 3001 {
				case 1000:
					d.Restart()
				case 2000:
					d.Move(i % partitions)
				}
			}
			got := orders.NewBooks()
			got.Hourly = topologytest.Rows(d, shop.Hourly)
			got.Priced = topologytest.Rows(d, shop.Priced)
			got.Visits = topologytest.Rows(d, shop.Visits)
			for _, r := range topologytest.Received(d, shop.Letters) {
				received(got.Letters, r)
			}
			for _, r := range topologytest.Received(d, shop.Receipts) {
				received(got.Receipts, r)
			}
			if diff := cmp.Diff(ledger.Books(), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func records(t *testing.T, shop *orders.Shop, n int) []topology.Raw {
	t.Helper()
	traffic := orders.NewTraffic(shop, 1)
	var all []topology.Raw
	for range orders.Opening + n {
		r, err := traffic.Next()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func received[V comparable](all map[string]map[V]int, r topology.Record[string, *V]) {
	if all[r.Key] == nil {
		all[r.Key] = map[V]int{}
	}
	all[r.Key][*r.Value]++
}

// Records of transactions that are aborted can be told from all others: the
// ledger refuses them, and whatever is made of them is in no book.
func TestAborted(t *testing.T) {
	shop := orders.NewShop("")
	traffic, ledger := orders.NewTraffic(shop, 1), orders.NewLedger(shop)
	topics := map[string]bool{}
	for range 2000 {
		r, err := traffic.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := ledger.Add(r); err != nil {
			t.Fatal(err)
		}
		if r, err = traffic.Aborted(); err != nil {
			t.Fatal(err)
		}
		if topics[r.Topic] = true; orders.NewLedger(shop).Add(r) == nil {
			t.Errorf("%s: %s %s was taken", r.Topic, r.Key, r.Value)
		}
	}
	if len(topics) != 4 {
		t.Errorf("got records of %v", topics)
	}
}
