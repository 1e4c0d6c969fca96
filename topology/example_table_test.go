package topology_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

func ExampleMaterialize() {
	t := new(testing.T) // that of the test
	customers := topology.JSONTopic[string]("customers")
	names := topology.Store[string, string]{Name: "names"}

	b := topology.NewBuilder("names")
	topology.Materialize(b, customers, names)
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 4)
	topologytest.Send(d, customers, "1", "Ann")
	topologytest.Send(d, customers, "2", "Bob")
	topologytest.Send(d, customers, "1", "Anna")
	topologytest.Delete(d, customers, "2")
	fmt.Println(topologytest.Rows(d, names))
	// Output: map[1:Anna]
}

func ExampleDerive() {
	t := new(testing.T)
	type customer struct{ Name, Country string }
	customers := topology.JSONTopic[customer]("customers")
	all := topology.Store[string, customer]{Name: "customers-table"}
	german := topology.Store[string, string]{Name: "german-names", Value: codec.String{}}

	b := topology.NewBuilder("names")
	topology.Derive(topology.Materialize(b, customers, all), german, func(_ string, c customer) (name string, ok bool) {
		return c.Name, c.Country == "DE"
	})
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 4)
	topologytest.Send(d, customers, "1", customer{"Ann", "DE"})
	topologytest.Send(d, customers, "2", customer{"Bob", "DE"})
	topologytest.Send(d, customers, "2", customer{"Bob", "FR"}) // he moves
	fmt.Println(topologytest.Rows(d, german))
	// Output: map[1:Ann]
}

// NewValues leaves deleted rows out, ToStream tells what they were.
func ExampleNewValues() {
	t := new(testing.T)
	states := topology.JSONTopic[string]("states")
	seen := topology.JSONTopic[string]("seen")

	b := topology.NewBuilder("states")
	table := topology.Materialize(b, states, topology.Store[string, string]{Name: "table"})
	topology.Publish(topology.NewValues(table), seen)
	topology.Publish(topology.MapValues(topology.ToStream(table), func(_ string, c topology.Change[string]) string {
		if c.New == nil {
			return "was " + *c.Old
		}
		return "changes"
	}), seen)
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 1)
	topologytest.Send(d, states, "ann", "HAPPY")
	topologytest.Delete(d, states, "ann")
	for _, r := range topologytest.Received(d, seen) {
		fmt.Println(r.Key, *r.Value)
	}
	// Output:
	// ann HAPPY
	// ann changes
	// ann was HAPPY
}

func ExampleAggregate() {
	t := new(testing.T)
	orders := topology.JSONTopic[int64]("orders")
	cheapest := topology.Store[string, int64]{Name: "cheapest", Initial: func() int64 { return 1000 }}

	b := topology.NewBuilder("prices")
	topology.Aggregate(topology.Consume(b, orders), cheapest, func(_ string, cents, least int64) int64 { return min(cents, least) })
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 4)
	topologytest.Send(d, orders, "ann", 300)
	topologytest.Send(d, orders, "bob", 2000)
	fmt.Println(topologytest.Rows(d, cheapest))
	// Output: map[ann:300 bob:1000]
}

// Two streams make one row.
func ExampleCogroup() {
	t := new(testing.T)
	type account struct{ Ordered, Paid int64 }
	orders, payments := topology.JSONTopic[int64]("orders"), topology.JSONTopic[int64]("payments")
	accounts := topology.Store[string, account]{Name: "accounts", Value: codec.JSON[account]{}}

	b := topology.NewBuilder("accounts")
	topology.Cogroup(accounts,
		topology.Fold(topology.Consume(b, orders), func(_ string, cents int64, a account) account { a.Ordered += cents; return a }),
		topology.Fold(topology.Consume(b, payments), func(_ string, cents int64, a account) account { a.Paid += cents; return a }))
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 4)
	topologytest.Send(d, orders, "ann", 300)
	topologytest.Send(d, payments, "ann", 100)
	fmt.Println(topologytest.Rows(d, accounts))
	// Output: map[ann:{300 100}]
}

// Rows of a table are summed by another key: what a row was is taken away, what it
// is comes to it.
func ExampleRegroup() {
	t := new(testing.T)
	type order struct {
		Customer string
		Cents    int64
	}
	orders := topology.JSONTopic[order]("orders")
	byCustomer := topology.JSONTopic[order]("orders-by-customer")
	worth := topology.Store[string, int64]{Name: "worth", Value: codec.Int64{}}

	b := topology.NewBuilder("worth")
	table := topology.Materialize(b, orders, topology.Store[string, order]{Name: "orders-table"})
	groups := topology.Regroup(table, byCustomer, func(_ string, o order) (string, order) { return o.Customer, o })
	topology.Aggregate(groups, worth, func(_ string, c topology.Change[order], sum int64) int64 {
		if c.Old != nil {
			sum -= c.Old.Cents
		}
		if c.New != nil {
			sum += c.New.Cents
		}
		return sum
	})
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 4)
	topologytest.Send(d, orders, "1", order{"ann", 300})
	topologytest.Send(d, orders, "2", order{"ann", 50})
	topologytest.Send(d, orders, "2", order{"bob", 70})
	fmt.Println(topologytest.Rows(d, worth))
	// Output: map[ann:300 bob:70]
}

// Rows expire by the time of records.
func ExampleStore_ttl() {
	t := new(testing.T)
	clicks := topology.JSONTopic[string]("clicks")
	latest := topology.Store[string, string]{Name: "latest", TTL: time.Hour}

	b := topology.NewBuilder("clicks")
	topology.Materialize(b, clicks, latest)
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 1)
	start := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	d.At(start)
	topologytest.Send(d, clicks, "ann", "/")
	d.At(start.Add(90 * time.Minute))
	topologytest.Send(d, clicks, "bob", "/help")
	fmt.Println(topologytest.Rows(d, latest))
	// Output: map[bob:/help]
}
