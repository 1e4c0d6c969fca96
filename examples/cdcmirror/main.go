// Command cdcmirror keeps a copy of a database's table in Redis. It reads the
// topic that Debezium writes of it: a row that is deleted there is deleted here.
// Type:
//
//	go run ./examples/cdcmirror demo       # on servers of its own
//
// or, on a Kafka that has the topic shop.public.customers and on a Redis,
//
//	go run ./examples/cdcmirror run --brokers localhost:9092 --redis localhost:6379
package main

import (
	"flag"
	"fmt"

	"github.com/tidemark-dev/tidemark/cmd"
	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor/embedded"
	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// A Key is the table's primary key, a Customer one of its rows, and a Change
// Debezium's envelope, whose After is nil of a row that was deleted.
type (
	Key      struct{ ID int64 }
	Customer struct{ Name string }
	Change   struct{ After *Customer }
)

var (
	changes   = topology.Topic[Key, *Change]{Name: "shop.public.customers", Key: codec.JSON[Key]{}, Value: codec.JSON[*Change]{}}
	customers = topology.Store[Key, *Customer]{Name: "customers", Value: codec.JSON[*Customer]{}}
	address   = flag.String("redis", "localhost:6379", "`address` of Redis")
)

func build() (*topology.Topology, error) {
	b := topology.NewBuilder("cdcmirror")
	rows := topology.MapValues(topology.Consume(b, changes), func(_ Key, c *Change) *Customer {
		if c == nil {
			return nil // the tombstone that follows a deletion
		}
		return c.After
	})
	topology.Sync(topology.ToTable(rows, customers), &redis.Sink{Addr: *address})
	return b.Build()
}

// sample is the i-th change of the demo: every third customer is deleted again.
func sample(i int) (topology.Raw, error) {
	c := &Customer{fmt.Sprintf("customer %d", i)}
	if i%9 == 8 {
		c = nil
	}
	return changes.Encode(Key{int64(i / 3)}, &Change{c})
}

func main() {
	cmd.Main(cmd.Program{Build: build, Demo: cmd.Demo{Start: embedded.Start, Record: sample}})
}
