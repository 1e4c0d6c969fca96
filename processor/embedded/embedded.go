// Package embedded runs Kafka and Redis inside the process, for demos and
// tests. They speak the real protocols, keep everything in memory and forget
// it at the end.
package embedded

import (
	"context"
	"fmt"
	"strings"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Start starts a Kafka of one broker and a Redis on free ports of the loopback
// interface, and returns their addresses by the names of the flags that take
// them: "brokers" and "redis". They end with ctx.
//
// A topic that is made without a number of partitions has four; none is made
// by writing to it.
func Start(ctx context.Context) (flags map[string]string, err error) {
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(4))
	if err != nil {
		return nil, fmt.Errorf("embedded Kafka: %w", err)
	}
	redis := miniredis.NewMiniRedis()
	if err := redis.Start(); err != nil {
		kafka.Close()
		return nil, fmt.Errorf("embedded Redis: %w", err)
	}
	context.AfterFunc(ctx, func() {
		redis.Close()
		kafka.Close()
	})
	return map[string]string{
		"brokers": strings.Join(kafka.ListenAddrs(), ","),
		"redis":   redis.Addr(),
	}, nil
}
