package orders

import "time"

// An Order is read: what a customer wants of a product.
type Order struct {
	Customer string    `json:"customer"`
	Product  string    `json:"product"`
	Pieces   int64     `json:"pieces"`
	Placed   time.Time `json:"placed"`
}

// A Payment is read: what was paid for an order.
type Payment struct {
	Cents int64     `json:"cents"`
	Paid  time.Time `json:"paid"`
}

// A Customer is read.
type Customer struct {
	Name string `json:"name"`
}

// A Product is read: what a piece of it costs.
type Product struct {
	Title string `json:"title"`
	Cents int64  `json:"cents"`
}

// A Click is read: where a customer looked.
type Click struct {
	Page string    `json:"page"`
	At   time.Time `json:"at"`
}

// A Letter is made of each order that is placed.
type Letter struct {
	To    string `json:"to"`
	Order Order  `json:"order"`
}

// A Receipt is made of each payment that meets its order.
type Receipt struct {
	Pieces int64 `json:"pieces"`
	Cents  int64 `json:"cents"`
}

// A Priced is what an order costs.
type Priced struct {
	Title string `json:"title"`
	Cents int64  `json:"cents"`
}

// A Visit is made of the clicks of a customer that follow each other.
type Visit struct {
	Clicks int64 `json:"clicks"`
}
