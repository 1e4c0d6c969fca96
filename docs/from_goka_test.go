package docs_test

import (
	"context"
	"fmt"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// What docs/from-goka.md shows.

var (
	clicks     = topology.Topic[string, string]{Name: "user-click", Key: codec.String{}, Value: codec.String{}}
	clickCount = topology.Store[string, int64]{Name: "clicks"}
)

func gokaCounter() (*topology.Topology, error) {
	b := topology.NewBuilder("mini-group")
	table := topology.Count(topology.Consume(b, clicks), clickCount)
	topology.Publish(table, topology.Topic[string, int64]{Name: "click-counts"})
	return b.Build()
}

func gokaJoins(b *topology.Builder) {
	people := topology.Materialize(b, customers, topology.Store[string, Customer]{Name: "customers-table"})
	names := topology.Broadcast(b, countries, topology.Store[string, string]{Name: "country-names"})

	placed := topology.Consume(b, orders)
	joined := topology.Join(placed, people, topology.Left(func(_ string, o Order, c *Customer) Order {
		if c != nil {
			o.Country = c.Region
		}
		return o
	}))
	looked := topology.JoinGlobal(joined, names, func(_ string, o Order) (string, bool) { return o.Country, true },
		topology.Left(func(_ string, o Order, name *string) Order { return o }))
	topology.Publish(looked, topology.Topic[string, Order]{Name: "orders-of-countries", Value: codec.JSON[Order]{}})
}

func gokaView(ctx context.Context, topo *topology.Topology, cfg processor.Config) error {
	p, err := processor.New(topo, cfg)
	if err != nil {
		return err
	}
	view := processor.Query(p, clickCount)
	go func() {
		if err := p.Wait(ctx, processor.Running); err == nil {
			row, ok, err := view.Get(ctx, "ann")
			fmt.Println(row.Value, ok, err)
		}
	}()
	return p.Run(ctx)
}

var _ = gokaView // it needs a Kafka
