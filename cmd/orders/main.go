// Command orders runs a shop: it counts orders by the hour, writes letters to
// customers, follows prices, finds the payments of orders and the visits of
// customers. Its tables are mirrored to Redis.
//
// What it does is said in internal/proof/orders, in Shop.Declare: an example of some
// size of the language of topologies.
package main

import (
	"context"
	"errors"
	"flag"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tidemark-dev/tidemark/cmd"
	"github.com/tidemark-dev/tidemark/internal/proof/orders"
	"github.com/tidemark-dev/tidemark/processor/embedded"
	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

var (
	shop    = orders.NewShop("")
	traffic = orders.NewTraffic(shop, 1)
	address = flag.String("redis", "localhost:6379", "`address` of Redis")
)

func build() (*topology.Topology, error) {
	return shop.Topology(func() topology.Sink { return &redis.Sink{Addr: *address} })
}

// sample is the next record of the demo.
func sample(int) (topology.Raw, error) { return traffic.Next() }

var client = sync.OnceValue(func() *goredis.Client { return goredis.NewClient(&goredis.Options{Addr: *address}) })

// lookup returns what Redis holds for a row.
func lookup(ctx context.Context, table string, key []byte) ([]byte, error) {
	value, err := client().Get(ctx, table+":"+string(key)).Bytes()
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	return value, err
}

func main() {
	cmd.Main(cmd.Program{Build: build, Demo: cmd.Demo{Start: embedded.Start, Record: sample, Lookup: lookup}})
}
