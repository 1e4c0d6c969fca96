package topology_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// Both topics have one key, the customer's.
func ExampleJoin() {
	t := new(testing.T) // that of the test
	orders, customers := topology.JSONTopic[string]("orders"), topology.JSONTopic[string]("customers")
	letters := topology.JSONTopic[string]("letters")

	b := topology.NewBuilder("letters")
	names := topology.Materialize(b, customers, topology.Store[string, string]{Name: "names"})
	topology.Publish(topology.Join(topology.Consume(b, orders), names, topology.Left(func(_, order string, name *string) string {
		if name == nil {
			return "Dear customer, your " + order
		}
		return "Dear " + *name + ", your " + order
	})), letters)
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 4)
	topologytest.Send(d, orders, "1", "tea")
	topologytest.Send(d, customers, "1", "Ann")
	topologytest.Send(d, orders, "1", "cup")
	for _, r := range topologytest.Received(d, letters) {
		fmt.Println(*r.Value)
	}
	// Output:
	// Dear customer, your tea
	// Dear Ann, your cup
}

// A global table is found by any key, whatever partition a record lies in.
func ExampleJoinGlobal() {
	t := new(testing.T)
	type order struct{ Product, Customer string }
	orders, products := topology.JSONTopic[order]("orders"), topology.JSONTopic[string]("products")
	lines := topology.JSONTopic[string]("lines")

	b := topology.NewBuilder("lines")
	names := topology.Broadcast(b, products, topology.Store[string, string]{Name: "products-table"})
	product := func(_ string, o order) (string, bool) { return o.Product, o.Product != "" }
	topology.Publish(topology.JoinGlobal(topology.Consume(b, orders), names, product,
		topology.Inner(func(_ string, o order, name string) string { return o.Customer + " buys " + name })), lines)
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 4)
	topologytest.Send(d, products, "p7", "tea")
	topologytest.Send(d, orders, "1", order{"p7", "ann"})
	for _, r := range topologytest.Received(d, lines) {
		fmt.Println(*r.Value)
	}
	// Output: ann buys tea
}

// A change of either table changes the row of the result.
func ExampleJoinTables() {
	t := new(testing.T)
	names, cities := topology.JSONTopic[string]("names"), topology.JSONTopic[string]("cities")
	cards := topology.Store[string, string]{Name: "cards", Value: codec.String{}}

	b := topology.NewBuilder("cards")
	topology.JoinTables(
		topology.Materialize(b, names, topology.Store[string, string]{Name: "names-table"}),
		topology.Materialize(b, cities, topology.Store[string, string]{Name: "cities-table"}),
		cards, topology.Inner(func(_, name, city string) string { return name + " of " + city }))
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 4)
	topologytest.Send(d, names, "1", "Ann")
	topologytest.Send(d, cities, "1", "Bonn")
	topologytest.Send(d, cities, "1", "Rome")
	fmt.Println(topologytest.Rows(d, cards))
	// Output: map[1:Ann of Rome]
}

// Each order contains the key of its product.
func ExampleJoinForeign() {
	t := new(testing.T)
	type order struct {
		Product string
		Pieces  int
	}
	orders, prices := topology.JSONTopic[order]("orders"), topology.JSONTopic[int]("prices")
	worth := topology.Store[string, int]{Name: "worth", Value: codec.JSON[int]{}}

	b := topology.NewBuilder("worth")
	topology.JoinForeign(
		topology.Materialize(b, orders, topology.Store[string, order]{Name: "orders-table"}),
		topology.Materialize(b, prices, topology.Store[string, int]{Name: "prices-table"}),
		worth, func(_ string, o order) (string, bool) { return o.Product, true },
		topology.Inner(func(_ string, o order, price int) int { return o.Pieces * price }))
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 4)
	topologytest.Send(d, orders, "1", order{"tea", 2})
	topologytest.Send(d, orders, "2", order{"tea", 5})
	topologytest.Send(d, prices, "tea", 3)
	topologytest.Send(d, prices, "tea", 4)
	fmt.Println(topologytest.Rows(d, worth))
	// Output: map[1:8 2:20]
}

// A payment belongs to an order that is an hour older at most.
func ExampleJoinStreams() {
	t := new(testing.T)
	orders, payments := topology.JSONTopic[string]("orders"), topology.JSONTopic[string]("payments")
	receipts := topology.JSONTopic[string]("receipts")

	b := topology.NewBuilder("receipts")
	soon := topology.Within{Name: "paid-soon", After: time.Hour}
	topology.Publish(topology.JoinStreams(topology.Consume(b, orders), topology.Consume(b, payments), soon,
		topology.Inner(func(_, order, payment string) string { return order + " paid by " + payment })), receipts)
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 4)
	d.At(time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC))
	topologytest.Send(d, orders, "1", "tea")
	d.At(time.Date(2026, 11, 25, 8, 40, 0, 0, time.UTC))
	topologytest.Send(d, payments, "1", "card")
	d.At(time.Date(2026, 11, 25, 9, 10, 0, 0, time.UTC))
	topologytest.Send(d, payments, "1", "cash") // too late
	for _, r := range topologytest.Received(d, receipts) {
		fmt.Println(*r.Value)
	}
	// Output: tea paid by card
}
