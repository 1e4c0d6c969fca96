package docs_test

import (
	"flag"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// What operators.md shows.

var (
	ordersByCustomer = topology.Topic[string, Order]{Name: "orders-by-customer"}
	people           = topology.Store[string, Customer]{Name: "people"}
	hourly           = topology.Store[topology.Windowed[string], int64]{Name: "hourly"}
	letters          = topology.Topic[string, string]{Name: "letters", Value: codec.String{}}
	address          = flag.String("redis", "localhost:6379", "`address` of Redis")
)

func byCustomer(_ string, o Order) string { return o.Customer }

func write(_ string, o Order, c *Customer) string {
	if c == nil {
		return "to " + o.Customer
	}
	return "to " + c.Name
}

func operators(b *topology.Builder) {
	people := topology.Materialize(b, customers, people)
	placed := topology.Consume(b, orders)
	own := topology.Repartition(topology.SelectKey(placed, byCustomer), ordersByCustomer)
	hours := topology.Window(own, topology.Tumbling{Size: time.Hour, Grace: 5 * time.Minute})
	topology.Sync(topology.Count(hours, hourly), &redis.Sink{Addr: *address})
	topology.Publish(topology.Join(own, people, topology.Left(write)), letters)
}
