package orders

import "time"

type ( // what is read
	Order struct {
		Customer string    `json:"customer"`
		Product  string    `json:"product"`
		Pieces   int64     `json:"pieces"`
		Placed   time.Time `json:"placed"`
	}
	Payment struct {
		Cents int64     `json:"cents"`
		Paid  time.Time `json:"paid"`
	}
	Customer struct {
		Name string `json:"name"`
	}
	Product struct {
		Title string `json:"title"`
		Cents int64  `json:"cents"`
	}
	Click struct {
		Page string    `json:"page"`
		At   time.Time `json:"at"`
	}
)

type ( // what is made of it
	Letter struct {
		To    string `json:"to"`
		Order Order  `json:"order"`
	}
	Receipt struct {
		Pieces int64 `json:"pieces"`
		Cents  int64 `json:"cents"`
	}
	Priced struct {
		Title string `json:"title"`
		Cents int64  `json:"cents"`
	}
	Visit struct {
		Clicks int64 `json:"clicks"`
	}
)
