// Package orders is a program of some size: a shop. It is what tests run on
// real servers and kill, and what cmd/orders shows.
package orders

import (
	"errors"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

// A Shop holds the topics and the stores of the program.
type Shop struct {
	prefix string

	Orders    topology.Topic[string, Order]   // by order
	Payments  topology.Topic[string, Payment] // by order
	Customers topology.Topic[string, Customer]
	Products  topology.Topic[string, Product]
	Clicks    topology.Topic[string, Click] // by customer

	ByCustomer topology.Topic[string, Order]
	Letters    topology.Topic[string, Letter]  // one for each order, by customer
	Receipts   topology.Topic[string, Receipt] // one for each payment that meets its order

	People topology.Store[string, Customer]
	Goods  topology.Store[string, Product]
	Kept   topology.Store[string, Order]
	Priced topology.Store[string, Priced]                   // by order
	Hourly topology.Store[topology.Windowed[string], int64] // orders of a customer in an hour
	Visits topology.Store[topology.Windowed[string], Visit] // sessions of clicks
}

// Late is how late a record may come: the generator's records never are.
const Late = 30 * 24 * time.Hour

// Windows of the program.
const (
	Hour     = time.Hour
	PaidSoon = time.Hour        // within which a payment meets its order
	Pause    = 30 * time.Minute // after which a visit is over
)

// NewShop returns a shop whose topics and stores all begin with a prefix.
func NewShop(prefix string) *Shop {
	s := codec.String{}
	return &Shop{
		prefix:    prefix,
		Orders:    topology.Topic[string, Order]{Name: prefix + "orders", Key: s, Value: codec.JSON[Order]{}, Time: func(r topology.Record[string, Order]) time.Time { return r.Value.Placed }},
		Payments:  topology.Topic[string, Payment]{Name: prefix + "payments", Key: s, Value: codec.JSON[Payment]{}, Time: func(r topology.Record[string, Payment]) time.Time { return r.Value.Paid }},
		Customers: topology.Topic[string, Customer]{Name: prefix + "customers", Key: s, Value: codec.JSON[Customer]{}},
		Products:  topology.Topic[string, Product]{Name: prefix + "products", Key: s, Value: codec.JSON[Product]{}},
		Clicks:    topology.Topic[string, Click]{Name: prefix + "clicks", Key: s, Value: codec.JSON[Click]{}, Time: func(r topology.Record[string, Click]) time.Time { return r.Value.At }},

		ByCustomer: topology.Topic[string, Order]{Name: prefix + "orders-by-customer"},
		Letters:    topology.Topic[string, Letter]{Name: prefix + "letters", Value: codec.JSON[Letter]{}},
		Receipts:   topology.Topic[string, Receipt]{Name: prefix + "receipts", Value: codec.JSON[Receipt]{}},

		People: topology.Store[string, Customer]{Name: prefix + "people"},
		Goods:  topology.Store[string, Product]{Name: prefix + "goods"},
		Kept:   topology.Store[string, Order]{Name: prefix + "kept-orders"},
		Priced: topology.Store[string, Priced]{Name: prefix + "priced-orders", Value: codec.JSON[Priced]{}},
		Hourly: topology.Store[topology.Windowed[string], int64]{Name: prefix + "orders-each-hour", TTL: 2 * Late},
		Visits: topology.Store[topology.Windowed[string], Visit]{Name: prefix + "visits", Value: codec.JSON[Visit]{}, TTL: 2 * Late, Merge: together},
	}
}

// Inputs returns the names of the topics that are read.
func (s *Shop) Inputs() []string {
	return []string{s.Customers.Name, s.Products.Name, s.Orders.Name, s.Payments.Name, s.Clicks.Name}
}

// Outputs returns the names of the topics that are published. They and the
// inputs must be there before the program starts.
func (s *Shop) Outputs() []string { return []string{s.Letters.Name, s.Receipts.Name} }

// Tables returns the names of the stores that are mirrored.
func (s *Shop) Tables() []string { return []string{s.Hourly.Name, s.Priced.Name, s.Visits.Name} }

// Topology returns the program as an application of its own.
func (s *Shop) Topology(sink func() topology.Sink) (*topology.Topology, error) {
	b := topology.NewBuilder(s.prefix + "shop")
	s.Declare(b, sink)
	return b.Build()
}

// Declare adds the program to a topology. Sink makes a sink for each table that
// is mirrored; nil for none.
func (s *Shop) Declare(b *topology.Builder, sink func() topology.Sink) {
	people := topology.Materialize(b, s.Customers, s.People)
	goods := topology.Materialize(b, s.Products, s.Goods)
	placed := topology.Try(topology.Consume(b, s.Orders), check)

	// By customer: orders of an hour, and a letter for each.
	own := topology.SelectKey(placed, func(_ string, o Order) string { return o.Customer })
	own = topology.Repartition(own, s.ByCustomer)
	hourly := topology.Count(topology.Window(own, topology.Tumbling{Size: Hour, Grace: Late}), s.Hourly)
	topology.Publish(topology.Join(own, people, topology.Left(write)), s.Letters)

	// By order: its price, which changes with the product, and its payments.
	kept := topology.Materialize(b, s.Orders, s.Kept)
	priced := topology.JoinForeign(kept, goods, s.Priced, product, topology.Inner(price))
	soon := topology.Within{Name: s.prefix + "paid-soon", Before: PaidSoon, After: PaidSoon, Grace: Late}
	paid := topology.JoinStreams(placed, topology.Consume(b, s.Payments), soon, topology.Inner(receipt))
	topology.Publish(paid, s.Receipts)

	visits := topology.Aggregate(topology.Window(topology.Consume(b, s.Clicks), topology.Session{Gap: Pause, Grace: Late}), s.Visits, follow)

	if sink != nil {
		topology.Sync(hourly, sink())
		topology.Sync(priced, sink())
		topology.Sync(visits, sink())
	}
}

func check(_ string, o Order) (Order, error) {
	if o.Customer == "" {
		return o, errors.New("order without a customer")
	}
	return o, nil
}

func write(_ string, o Order, c *Customer) Letter {
	if c == nil {
		return Letter{To: "whom it may concern", Order: o}
	}
	return Letter{To: c.Name, Order: o}
}

func product(_ string, o Order) (string, bool) { return o.Product, o.Product != "" }

func price(_ string, o Order, p Product) Priced { return Priced{p.Title, p.Cents * o.Pieces} }

func receipt(_ string, o Order, p Payment) Receipt { return Receipt{o.Pieces, p.Cents} }

func follow(_ topology.Windowed[string], _ Click, v Visit) Visit { return Visit{v.Clicks + 1} }

func together(_ topology.Windowed[string], a, b Visit) Visit { return Visit{a.Clicks + b.Clicks} }
