package orders

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tidemark-dev/tidemark/topology"
)

// A Ledger computes in plain Go, from the records of the topics that are read,
// what the shop's tables and outputs must hold. Records of one partition must
// come in their order, those of several in any. It knows nothing of tidemark but
// the shape of a record.
type Ledger struct {
	shop      *Shop
	customers map[string]Customer
	products  map[string]Product
	kept      map[string]Order
	placed    map[string][]Order // every order that was ever placed, by its number
	paid      map[string][]Payment
	clicks    map[string][]time.Time
}

// NewLedger returns an empty ledger.
func NewLedger(s *Shop) *Ledger {
	return &Ledger{
		shop: s, customers: map[string]Customer{}, products: map[string]Product{}, kept: map[string]Order{},
		placed: map[string][]Order{}, paid: map[string][]Payment{}, clicks: map[string][]time.Time{},
	}
}

// Add enters a record. It refuses those that must never be seen.
func (l *Ledger) Add(r topology.Raw) error {
	err := l.add(string(r.Key), r)
	if err != nil {
		err = fmt.Errorf("record %s: %w", r.Position, err)
	}
	return err
}

func (l *Ledger) add(key string, r topology.Raw) error {
	switch r.Topic {
	case l.shop.Customers.Name:
		return row(l.customers, key, r.Value)
	case l.shop.Products.Name:
		if err := row(l.products, key, r.Value); err != nil || l.products[key].Title != Nobody {
			return err
		}
	case l.shop.Orders.Name:
		if err := row(l.kept, key, r.Value); err != nil || r.Value == nil {
			return err // a cancelled order is no order placed
		}
		l.placed[key] = append(l.placed[key], l.kept[key])
		if l.kept[key].Customer != Nobody {
			return nil
		}
	case l.shop.Payments.Name:
		var p Payment
		err := json.Unmarshal(r.Value, &p)
		l.paid[key] = append(l.paid[key], p)
		if p.Cents >= 0 {
			return err
		}
	case l.shop.Clicks.Name:
		var c Click
		err := json.Unmarshal(r.Value, &c)
		l.clicks[key] = append(l.clicks[key], c.At)
		if key != Nobody {
			return err
		}
	default:
		return fmt.Errorf("topic %q is none that the shop reads", r.Topic)
	}
	return fmt.Errorf("it is of an aborted transaction: %s", r.Value)
}

func row[V any](rows map[string]V, key string, value []byte) error {
	if value == nil {
		delete(rows, key)
		return nil
	}
	var v V
	err := json.Unmarshal(value, &v)
	rows[key] = v
	return err
}

// Books returns what the tables and outputs must hold.
func (l *Ledger) Books() Books {
	return Books{l.hourly(), l.priced(), l.visits(), l.letters(), l.receipts()}
}

// hourly returns how many orders each customer has placed in each hour.
func (l *Ledger) hourly() map[topology.Windowed[string]]int64 {
	counts := map[topology.Windowed[string]]int64{}
	for _, all := range l.placed {
		for _, o := range all {
			start := o.Placed.Truncate(Hour)
			counts[topology.Windowed[string]{Key: o.Customer, Start: start, End: start.Add(Hour)}]++
		}
	}
	return counts
}

// priced returns what each order costs, of those whose product is sold.
func (l *Ledger) priced() map[string]Priced {
	priced := map[string]Priced{}
	for number, o := range l.kept {
		if p, sold := l.products[o.Product]; sold {
			priced[number] = Priced{p.Title, p.Cents * o.Pieces}
		}
	}
	return priced
}

// visits returns the sessions of each customer.
func (l *Ledger) visits() map[topology.Windowed[string]]Visit {
	visits := map[topology.Windowed[string]]Visit{}
	for customer, clicks := range l.clicks {
		clicks = slices.SortedFunc(slices.Values(clicks), time.Time.Compare)
		open, n := topology.Windowed[string]{Key: customer, Start: clicks[0], End: clicks[0]}, int64(0)
		for _, at := range clicks {
			if at.Sub(open.End) > Pause {
				visits[open] = Visit{n}
				open.Start, n = at, 0
			}
			open.End = at
			n++
		}
		visits[open] = Visit{n}
	}
	return visits
}

// letters returns the letters of each customer.
func (l *Ledger) letters() map[string]map[Letter]int {
	letters := map[string]map[Letter]int{}
	for _, all := range l.placed {
		for _, o := range all {
			note(letters, o.Customer, Letter{cmp.Or(l.customers[o.Customer].Name, "whom it may concern"), o})
		}
	}
	return letters
}

// receipts returns the receipts of each order.
func (l *Ledger) receipts() map[string]map[Receipt]int {
	receipts := map[string]map[Receipt]int{}
	for number, all := range l.placed {
		for _, o := range all {
			for _, p := range l.paid[number] {
				if apart := p.Paid.Sub(o.Placed); apart >= -PaidSoon && apart <= PaidSoon {
					note(receipts, number, Receipt{o.Pieces, p.Cents})
				}
			}
		}
	}
	return receipts
}
