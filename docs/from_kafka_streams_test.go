package docs_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

// What docs/from-kafka-streams.md shows. TestShownCodeIsCompiled holds it to this file.

type (
	Order struct {
		Customer, Country string
		Cents             int64
		Placed            time.Time
	}
	Payment  struct{ Cents int64 }
	Customer struct{ Name, Region string }
	Account  struct{ Ordered, Paid int64 }
	Visit    struct{ Pages []string }
)

var (
	orders = topology.Topic[string, Order]{
		Name: "orders", Key: codec.String{}, Value: codec.JSON[Order]{},
		Time: func(r topology.Record[string, Order]) time.Time { return r.Value.Placed },
	}
	payments  = topology.Topic[string, Payment]{Name: "payments", Key: codec.String{}, Value: codec.JSON[Payment]{}}
	customers = topology.Topic[string, Customer]{Name: "customers", Key: codec.String{}, Value: codec.JSON[Customer]{}}
	countries = topology.Topic[string, string]{Name: "countries", Key: codec.String{}, Value: codec.String{}}
	lines     = topology.Topic[string, string]{Name: "lines", Key: codec.String{}, Value: codec.String{}}
)

func stateless(b *topology.Builder) {
	all := topology.Consume(b, lines)
	long := topology.Filter(all, func(_, line string) bool { return len(line) > 3 })
	loud := topology.MapValues(long, func(_, line string) string { return strings.ToUpper(line) })
	words := topology.FlatMapValues(loud, func(_, line string, emit func(string)) {
		for _, word := range strings.Fields(line) {
			emit(word)
		}
	})
	trimmed := topology.FilterMap(words, func(_, word string) (string, bool) {
		word = strings.Trim(word, ".,!")
		return word, word != ""
	})
	seen := topology.Peek(trimmed, func(key, word string) { fmt.Println(key, word) })
	swapped := topology.Map(seen, func(key, word string) (string, string) { return word, key })
	byLength := topology.SelectKey(swapped, func(word, _ string) string { return strconv.Itoa(len(word)) })
	pairs := topology.FlatMap(byLength, func(length, key string, emit func(string, string)) {
		emit(length, key)
		emit(key, length)
	})

	parts := topology.Split(pairs,
		topology.Branch[string, string]{Name: "short", Take: func(k, _ string) bool { return len(k) < 3 }},
		topology.Branch[string, string]{Name: "middle", Take: func(k, _ string) bool { return len(k) < 6 }})
	short, middle, rest := parts[0], parts[1], parts[2]
	topology.ForEach(rest, func(k, v string) { fmt.Println(k, v) })
	both := topology.Merge(short, middle)

	topology.Publish(both, topology.Topic[string, string]{Name: "both"})
	topology.Route(both, func(k, _ string) topology.Topic[string, string] {
		return topology.Topic[string, string]{Name: "of-length-" + strconv.Itoa(len(k))}
	})
	spread := topology.Repartition(both, topology.Topic[string, string]{Name: "lines-by-word", Partitions: 8})
	topology.Count(spread, topology.Store[string, int64]{Name: "word-counts"})
}

func fallible(b *topology.Builder) {
	numbers := topology.Try(topology.Consume(b, lines), func(_, line string) (int64, error) {
		return strconv.ParseInt(line, 10, 64)
	})
	late := topology.Filter(topology.Records(numbers), func(_ string, r topology.Record[string, int64]) bool {
		return r.Time.Hour() > 22 && len(r.Headers) > 0
	})
	topology.ForEach(late, func(k string, r topology.Record[string, int64]) { fmt.Println(k, r.Value, r.Position) })
}

func tables(b *topology.Builder) {
	people := topology.Materialize(b, customers, topology.Store[string, Customer]{Name: "customers-table"})
	newest := topology.ToTable(topology.Consume(b, orders), topology.Store[string, Order]{Name: "newest-orders"})

	names := topology.Derive(people, topology.Store[string, string]{Name: "names", Value: codec.String{}},
		func(_ string, c Customer) (string, bool) { return c.Name, c.Name != "" })
	topology.Publish(names, topology.Topic[string, string]{Name: "names-feed"})
	topology.ForEach(topology.NewValues(newest), func(number string, o Order) { fmt.Println(number, o) })
	topology.ForEach(topology.ToStream(newest), func(number string, c topology.Change[Order]) {
		fmt.Println(number, c.Old, c.New) // New is nil for a row that was deleted
	})
}

func aggregates(b *topology.Builder) {
	placed := topology.Consume(b, orders)
	topology.Count(placed, topology.Store[string, int64]{Name: "counts"})
	topology.Reduce(placed, topology.Store[string, Order]{Name: "largest"}, func(_ string, o, kept Order) Order {
		if o.Cents > kept.Cents {
			return o
		}
		return kept
	})
	topology.Aggregate(placed, topology.Store[string, int64]{Name: "sums", Value: codec.Int64{}},
		func(_ string, o Order, sum int64) int64 { return sum + o.Cents })

	topology.Cogroup(topology.Store[string, Account]{Name: "accounts", Value: codec.JSON[Account]{}},
		topology.Fold(placed, func(_ string, o Order, a Account) Account { a.Ordered += o.Cents; return a }),
		topology.Fold(topology.Consume(b, payments), func(_ string, p Payment, a Account) Account { a.Paid += p.Cents; return a }))
}

func aggregatesOfTables(b *topology.Builder) {
	table := topology.Materialize(b, orders, topology.Store[string, Order]{Name: "orders-table"})
	byCustomer := topology.Topic[string, Order]{Name: "orders-by-customer", Key: codec.String{}, Value: codec.JSON[Order]{}}
	changes := topology.Regroup(table, byCustomer, func(_ string, o Order) (string, Order) { return o.Customer, o })
	topology.Count(changes, topology.Store[string, int64]{Name: "orders-of-customer"})
	topology.Aggregate(changes, topology.Store[string, int64]{Name: "worth-of-customer", Value: codec.Int64{}},
		func(_ string, c topology.Change[Order], sum int64) int64 {
			if c.Old != nil {
				sum -= c.Old.Cents // the subtractor
			}
			if c.New != nil {
				sum += c.New.Cents // the adder
			}
			return sum
		})
}

func windows(b *topology.Builder) {
	placed := topology.Consume(b, orders)
	hours := topology.Window(placed, topology.Tumbling{Size: time.Hour, Grace: 5 * time.Minute})
	hourly := topology.Count(hours, topology.WindowStore[string, int64]{Name: "hourly"})
	final := topology.Suppress(hourly, topology.WindowStore[string, int64]{Name: "hourly-final"}, topology.Until{Closed: true})
	topology.Publish(final, topology.Topic[topology.Windowed[string], int64]{Name: "hourly-reports"})
	latest := topology.Unwindow(topology.NewValues(final))
	topology.ToTable(latest, topology.Store[string, int64]{Name: "last-closed-hour"})

	topology.Count(topology.Window(placed, topology.Hopping{Size: time.Hour, Advance: time.Minute}),
		topology.WindowStore[string, int64]{Name: "last-hour"})
	topology.Count(topology.Window(placed, topology.Sliding{Size: time.Minute}),
		topology.WindowStore[string, int64]{Name: "within-a-minute"})
	visits := topology.WindowStore[string, Visit]{
		Name: "visits", Value: codec.JSON[Visit]{},
		Merge: func(_ topology.Windowed[string], a, b Visit) Visit { return Visit{append(a.Pages, b.Pages...)} },
	}
	topology.Aggregate(topology.Window(topology.Consume(b, lines), topology.Session{Gap: 30 * time.Minute}), visits,
		func(_ topology.Windowed[string], page string, v Visit) Visit { return Visit{append(v.Pages, page)} })
}

func joins(b *topology.Builder) {
	placed, paid := topology.Consume(b, orders), topology.Consume(b, payments)
	people := topology.Materialize(b, customers, topology.Store[string, Customer]{Name: "customers-table"})
	table := topology.ToTable(placed, topology.Store[string, Order]{Name: "orders-table"})
	text := topology.Topic[string, string]{Name: "text", Value: codec.String{}}

	// KStream–KTable: of one key.
	topology.Publish(topology.Join(placed, people, topology.Left(func(_ string, o Order, c *Customer) string {
		if c == nil {
			return "who are you?"
		}
		return "thank you, " + c.Name
	})), text)

	// KStream–GlobalKTable: of a key that the record names.
	names := topology.Broadcast(b, countries, topology.Store[string, string]{Name: "country-names"})
	topology.Publish(topology.JoinGlobal(placed, names,
		func(_ string, o Order) (string, bool) { return o.Country, o.Country != "" },
		topology.Inner(func(_ string, o Order, country string) string { return o.Customer + " in " + country })), text)

	// KStream–KStream: close in time.
	soon := topology.Within{Name: "paid-soon", After: time.Hour, Grace: time.Minute}
	topology.Publish(topology.JoinStreams(placed, paid, soon, topology.Outer(func(_ string, o *Order, p *Payment) string {
		switch {
		case p == nil:
			return "not paid"
		case o == nil:
			return "not ordered"
		}
		return "paid"
	})), text)

	// KTable–KTable: of one key, and by a foreign key.
	topology.JoinTables(table, people, topology.Store[string, string]{Name: "of-customers", Value: codec.String{}},
		topology.Inner(func(_ string, o Order, c Customer) string { return c.Name }))
	topology.JoinForeign(table, people, topology.Store[string, string]{Name: "regions", Value: codec.String{}},
		func(_ string, o Order) (string, bool) { return o.Customer, o.Customer != "" },
		topology.Left(func(_ string, o Order, c *Customer) string {
			if c == nil {
				return "unknown"
			}
			return c.Region
		}))
}

func process(b *topology.Builder) {
	lastSeen := topology.Store[string, time.Time]{Name: "last-seen", Key: codec.String{}, Value: codec.Time{}, TTL: 30 * 24 * time.Hour}
	strange := topology.Topic[string, Order]{Name: "strange-orders", Key: codec.String{}, Value: codec.JSON[Order]{}}
	silent := func(c *topology.Context[string, string]) func(topology.Record[string, Order]) error {
		seen := topology.Open(c, lastSeen)
		report := topology.Publisher(c, strange)
		c.Every(time.Hour, topology.WallTime, func(now time.Time) error {
			for name, last := range seen.All() {
				if now.Sub(last) > 24*time.Hour {
					c.Emit(topology.Record[string, string]{Key: name, Value: "silent since " + last.Format(time.DateTime)})
					seen.Delete(name)
				}
			}
			return nil
		})
		return func(r topology.Record[string, Order]) error {
			if r.Value.Cents < 0 {
				report(r)
				return nil
			}
			seen.Set(r.Key, r.Time)
			return nil
		}
	}
	alerts := topology.Process(topology.Consume(b, orders), silent)
	topology.Publish(alerts, topology.Topic[string, string]{Name: "alerts", Key: codec.String{}, Value: codec.String{}})
}
