package topology_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

var eight = time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)

// Each window comes once, when it is closed.
func ExampleSuppress() {
	t := new(testing.T) // that of the test
	orders := topology.JSONTopic[int64]("orders")
	reports := topology.Topic[topology.Windowed[string], int64]{Name: "hourly-reports"}

	b := topology.NewBuilder("reports")
	hours := topology.Window(topology.Consume(b, orders), topology.Tumbling{Size: time.Hour, Grace: 5 * time.Minute})
	hourly := topology.Count(hours, topology.WindowStore[string, int64]{Name: "hourly"})
	final := topology.Suppress(hourly, topology.WindowStore[string, int64]{Name: "hourly-final"}, topology.Until{Closed: true})
	topology.Publish(final, reports)
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 1)
	for _, minute := range []time.Duration{10, 20, 62, 50, 66} {
		d.At(eight.Add(minute * time.Minute))
		topologytest.Send(d, orders, "ann", 300)
	}
	for _, r := range topologytest.Received(d, reports) {
		fmt.Println(r.Key.Key, r.Key.Start.Format("15:04"), *r.Value)
	}
	// Output: ann 08:00 3
}

// Sessions that a record connects become one.
func ExampleWindow() {
	t := new(testing.T)
	clicks := topology.JSONTopic[string]("clicks")
	visits := topology.WindowStore[string, []string]{
		Name: "visits", Value: codec.JSON[[]string]{},
		Merge: func(_ topology.Windowed[string], a, b []string) []string { return append(a, b...) },
	}

	b := topology.NewBuilder("visits")
	sessions := topology.Window(topology.Consume(b, clicks), topology.Session{Gap: 30 * time.Minute, Grace: time.Hour})
	topology.Aggregate(sessions, visits, func(_ topology.Windowed[string], page string, pages []string) []string { return append(pages, page) })
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 1)
	d.At(eight)
	topologytest.Send(d, clicks, "ann", "/")
	d.At(eight.Add(50 * time.Minute))
	topologytest.Send(d, clicks, "ann", "/pay")
	d.At(eight.Add(25 * time.Minute)) // late, and in between
	topologytest.Send(d, clicks, "ann", "/help")

	visit := topology.Windowed[string]{Key: "ann", Start: eight, End: eight.Add(50 * time.Minute)}
	fmt.Println(topologytest.Row(d, visits, visit))
	// Output: [/ /pay /help] true
}

// The newest window of each customer needs no Repartition: it lies where the
// customer's others lie.
func ExampleUnwindow() {
	t := new(testing.T)
	orders := topology.JSONTopic[int64]("orders")
	latest := topology.Store[string, int64]{Name: "orders-of-the-hour"}

	b := topology.NewBuilder("reports")
	hours := topology.Window(topology.Consume(b, orders), topology.Tumbling{Size: time.Hour})
	hourly := topology.Count(hours, topology.WindowStore[string, int64]{Name: "hourly"})
	topology.ToTable(topology.Unwindow(topology.NewValues(hourly)), latest)
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 4)
	for _, minute := range []time.Duration{10, 20, 70} {
		d.At(eight.Add(minute * time.Minute))
		topologytest.Send(d, orders, "ann", 300)
	}
	fmt.Println(topologytest.Rows(d, latest))
	// Output: map[ann:1]
}
