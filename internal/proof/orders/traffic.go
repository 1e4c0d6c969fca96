package orders

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tidemark-dev/tidemark/topology"
)

// Traffic makes the records of a shop: what does not change first, then orders,
// changed and cancelled ones too, payments, clicks, and new prices. A second
// goes by from one record to the next, and each is up to ten minutes before or
// behind its time. It is not safe for concurrent use.
type Traffic struct {
	shop   *Shop
	random *rand.Rand
	made   int
	orders int // numbers given so far
}

// Opening is the number of first records that must be there before the others:
// customers, who never change, and products.
const Opening = customers + products

const (
	customers = 200
	products  = 50
	awaited   = 3000 // of the last orders some are paid: about half of them so late that it is not soon any more
)

// Noon is when the shop opens. It lies in the past, for a broker may refuse
// records of the future.
var Noon = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

// Nobody is the customer of records that must never be seen.
const Nobody = "nobody"

// NewTraffic returns the traffic of a seed: the same seed, the same records.
func NewTraffic(s *Shop, seed uint64) *Traffic {
	return &Traffic{shop: s, random: rand.New(rand.NewPCG(seed, 7))}
}

func name(kind string, i int) string { return fmt.Sprintf("%s-%04d", kind, i) }

func (t *Traffic) product(i int) Product {
	return Product{name("Product", i), 100 + t.random.Int64N(900)}
}

// Next returns the next record.
func (t *Traffic) Next() (r topology.Raw, err error) {
	at := Noon.Add(-time.Hour)
	switch i := t.made; {
	case i < customers:
		r, err = t.shop.Customers.Encode(name("customer", i), Customer{name("Customer", i)})
	case i < Opening:
		r, err = t.shop.Products.Encode(name("product", i-customers), t.product(i-customers))
	default:
		at = t.now()
		r, err = t.draw(at)
	}
	t.made++
	r.Time = at
	return r, err
}

// Aborted returns a record that must never be seen, for a transaction that is
// aborted: whatever is made of it shows Nobody, or a price below zero.
func (t *Traffic) Aborted() (r topology.Raw, err error) {
	at := t.now()
	number := name("order", 1+t.random.IntN(t.orders+1))
	switch t.random.IntN(4) {
	case 0:
		r, err = t.shop.Orders.Encode(number, Order{Nobody, name("product", t.random.IntN(products)), 1, at})
	case 1:
		r, err = t.shop.Payments.Encode(number, Payment{-1, at})
	case 2:
		r, err = t.shop.Products.Encode(name("product", t.random.IntN(products)), Product{Nobody, -1})
	default:
		r, err = t.shop.Clicks.Encode(Nobody, Click{"/", at})
	}
	r.Time = at
	return r, err
}

func (t *Traffic) now() time.Time {
	const off = 10 * time.Minute
	at := Noon.Add(time.Duration(t.made-Opening)*time.Second - off + time.Duration(t.random.Int64N(int64(2*off))))
	return at.Truncate(time.Millisecond) // Kafka has no finer times
}

func (t *Traffic) draw(at time.Time) (topology.Raw, error) {
	switch n := t.random.IntN(100); {
	case n < 45:
		t.orders++
		return t.order(t.orders, at)
	case n < 50 && t.orders > 0: // an order is changed
		return t.order(1+t.random.IntN(t.orders), at)
	case n < 53 && t.orders > 0: // or cancelled
		r, err := t.order(1+t.random.IntN(t.orders), at)
		r.Value = nil
		return r, err
	case n < 70 && t.orders > 0:
		recent := max(1, t.orders-t.random.IntN(awaited))
		return t.shop.Payments.Encode(name("order", recent), Payment{100 + t.random.Int64N(900), at})
	case n < 75:
		i := t.random.IntN(products)
		r, err := t.shop.Products.Encode(name("product", i), t.product(i))
		if t.random.IntN(4) == 0 {
			r.Value = nil // it is not sold any more
		}
		return r, err
	default:
		return t.shop.Clicks.Encode(name("customer", t.random.IntN(customers)), Click{"/", at})
	}
}

// order draws an order; some are of customers and products that nobody knows.
func (t *Traffic) order(number int, at time.Time) (topology.Raw, error) {
	return t.shop.Orders.Encode(name("order", number), Order{
		Customer: name("customer", t.random.IntN(customers+10)),
		Product:  name("product", t.random.IntN(products+5)),
		Pieces:   1 + t.random.Int64N(5),
		Placed:   at,
	})
}
