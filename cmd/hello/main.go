// Command hello keeps the latest state of every greeter and mirrors it to Redis.
//
// The topic hello-log-store is its journal, which holds each state that a
// greeter was in; the table hello-state-store follows it, and each row of the
// table is in Redis under hello-state-store:<greeter>.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tidemark-dev/tidemark/cmd"
	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor/embedded"
	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// Hello is what the journal says about one greeter.
type Hello struct {
	State string `json:"state"`
	Count int64  `json:"helloCount"`
	Total int64  `json:"helloTotalCount"`
}

var (
	journal = topology.Topic[string, Hello]{Name: "hello-log-store", Key: codec.String{}, Value: codec.JSON[Hello]{}}
	hellos  = topology.Store[string, Hello]{Name: "hello-state-store"}
	address = flag.String("redis", "localhost:6379", "`address` of Redis")
)

func build() (*topology.Topology, error) {
	b := topology.NewBuilder("hello")
	table := topology.Materialize(b, journal, hellos)
	topology.Sync(table, &redis.Sink{Addr: *address})
	return b.Build()
}

// sample is the i-th record of the demo: ten of one greeter, then one of each
// of a thousand, over and over.
func sample(i int) (topology.Raw, error) {
	name, n := "testid-01", int64(i+1)
	if i >= 10 {
		name, n = fmt.Sprintf("testid-%04d", i%1000), int64(i/1000+1)
	}
	return journal.Encode(name, Hello{"HAPPY", n, n * 10})
}

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
