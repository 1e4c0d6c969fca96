package redis_test

import (
	"context"
	"fmt"

	"github.com/alicebob/miniredis/v2"

	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// A processor makes these calls for a table that is given to topology.Sync.
func ExampleSink() {
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	ctx := context.Background()
	sink := &redis.Sink{Addr: server.Addr()}
	defer sink.Close()

	hellos := topology.Source{Table: "hello-state-store", Owner: topology.Owner{Application: "hello", Cluster: "MkU3OEVBNTcwNTJENDM2Qk"}}
	place, err := sink.Open(ctx, hellos, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	batch := topology.Batch{Source: hellos, Epoch: place.Epoch, From: place.Position, To: "changelog@1"}
	batch.Rows = []topology.Raw{{Key: []byte("testid-01"), Value: []byte(`{"state":"HAPPY"}`)}}
	fmt.Println(sink.Apply(ctx, batch))

	for _, key := range server.Keys() {
		fmt.Println(key)
	}
	fmt.Println(server.Get("hello-state-store:testid-01"))
	// Output:
	// <nil>
	// hello-state-store:testid-01
	// tidemark:fence:hello-state-store:0
	// tidemark:owner:hello-state-store
	// {"state":"HAPPY"} <nil>
}
