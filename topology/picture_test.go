package topology_test

import (
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

func TestPicture(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		table := topology.Materialize(b, journal, hellos)
		topology.Sync(table, &memory{"localhost:6379"})

		all := topology.Consume(b, lines)
		even := topology.Filter(topology.Try(all, parse), even)
		topology.Publish(all, topology.Topic[string, string]{Name: "copy"})
		topology.Publish(even, numbers)
		topology.Publish(topology.Aggregate(even, sums, add), topology.Topic[string, int64]{Name: "every-sum"})
		topology.Count(all, counts)
	})
	topologytest.Golden(t, topo.String(), "testdata/picture.golden")
}

type order struct{ Customer, State string }

// shop is a topology with what descriptions must cope with.
func shop(b *topology.Builder) {
	shopOrders(b)
	shopCustomers(b)
	shopPayments(b)
}

func shopOrders(b *topology.Builder) {
	var (
		web   = topology.Topic[string, order]{Name: "web-orders", Key: codec.String{}, Value: codec.JSON[order]{}}
		phone = topology.Topic[string, order]{Name: "phone-orders", Key: codec.String{}, Value: codec.JSON[order]{}}
	)
	orders := topology.Merge(topology.Consume(b, web), topology.Consume(b, phone))
	branches := topology.Split(orders,
		topology.Branch[string, order]{Name: "paid", Take: func(_ string, o order) bool { return o.State == "paid" }},
		topology.Branch[string, order]{Name: "open", Take: func(_ string, o order) bool { return o.State == "open" }})
	topology.Route(branches[2], func(_ string, o order) topology.Topic[string, order] {
		return topology.Topic[string, order]{Name: "orders-" + o.State}
	})
	topology.ForEach(branches[1], func(string, order) {})

	byCustomer := topology.Repartition(
		topology.SelectKey(branches[0], func(_ string, o order) string { return o.Customer }),
		topology.Topic[string, order]{Name: "orders-by-customer", Partitions: 12})
	paid := topology.Count(byCustomer, topology.Store[string, int64]{Name: "paid-orders", EveryChange: true})
	topology.Publish(paid, topology.Topic[string, int64]{Name: "paid-order-counts"})

	hourly := topology.Window(byCustomer, topology.Hopping{Size: time.Hour, Advance: 5 * time.Minute, Grace: time.Minute})
	topology.Count(hourly, topology.Store[topology.Windowed[string], int64]{Name: "paid-orders-hourly"})

	states := topology.Broadcast(b, topology.Topic[string, string]{Name: "states", Key: codec.String{}, Value: codec.String{}},
		topology.Store[string, string]{Name: "state-names"})
	state := func(_ string, o order) (string, bool) { return o.State, true }
	named := topology.JoinGlobal(orders, states, state, topology.Inner(func(_ string, _ order, name string) string { return name }))
	topology.Publish(named, topology.Topic[string, string]{Name: "state-changes", Value: codec.String{}})
}

func shopCustomers(b *topology.Builder) {
	customers := topology.Topic[string, string]{Name: "customers", Key: codec.String{}, Value: codec.String{}}
	rows := topology.Materialize(b, customers, topology.Store[string, string]{Name: "customer-rows"})
	topology.Sync(rows, &memory{`"one" & two`})
	topology.Sync(rows, &memory{"another"})
	calls := topology.Consume(b, topology.Topic[string, string]{Name: "calls", Key: codec.String{}, Value: codec.String{}})
	callers := topology.Join(calls, rows, topology.Left(func(_, call string, name *string) string { return call }))
	topology.Publish(callers, topology.Topic[string, string]{Name: "callers", Value: codec.String{}})
	names := topology.MapValues(topology.ToStream(rows), func(_ string, c topology.Change[string]) int64 { return 1 })
	topology.Aggregate(names, topology.Store[string, int64]{Name: "changes-of-name", Value: codec.Int64{}}, add)
}

// shopPayments has a join of streams, a join of tables, and steps of its own that
// share a store, and look into a table.
func shopPayments(b *topology.Builder) {
	payments := topology.Consume(b, topology.Topic[string, int64]{Name: "payments", Key: codec.String{}, Value: codec.Int64{}})
	refunds := topology.Consume(b, topology.Topic[string, int64]{Name: "refunds", Key: codec.String{}, Value: codec.Int64{}})
	soon := topology.Within{Name: "refunded-soon", After: time.Hour, Grace: time.Minute}
	met := topology.JoinStreams(payments, refunds, soon, topology.Left(func(_ string, paid int64, back *int64) int64 { return paid }))
	topology.Publish(met, topology.Topic[string, int64]{Name: "refunded", Value: codec.Int64{}})

	paid := topology.Aggregate(payments, topology.Store[string, int64]{Name: "paid-sums"}, add)
	back := topology.Aggregate(refunds, topology.Store[string, int64]{Name: "refund-sums", TTL: 90 * time.Minute}, add)
	topology.JoinTables(paid, back, topology.Store[string, int64]{Name: "balances", Value: codec.Int64{}},
		topology.Outer(func(_ string, paid, back *int64) int64 { return 0 }))

	seen := topology.Store[string, int64]{Name: "payments-seen", Key: codec.String{}, Value: codec.Int64{}}
	notice := func(stores ...topology.Store[string, int64]) func(*topology.Context[string, int64]) func(topology.Record[string, int64]) error {
		return func(c *topology.Context[string, int64]) func(topology.Record[string, int64]) error {
			for _, s := range stores {
				topology.Open(c, s)
			}
			return func(topology.Record[string, int64]) error { return nil }
		}
	}
	topology.Process(payments, notice(seen))
	topology.Process(refunds, notice(seen, topology.Store[string, int64]{Name: "paid-sums"}))
}

func TestPictureOfAShop(t *testing.T) {
	topo := build(t, shop)
	topologytest.Golden(t, topo.String(), "testdata/shop.golden")
	topologytest.Golden(t, topo.Mermaid(), "testdata/shop.mermaid")
}
