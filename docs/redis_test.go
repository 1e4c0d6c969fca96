package docs_test

import (
	"fmt"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// What redis.md shows.
var _ = ownNames

var hourKeys = topology.WindowedCodec[string]{Key: codec.String{}}

func byDay(key []byte) (string, error) {
	w, err := hourKeys.Decode(key)
	return fmt.Sprintf("%s:%s:%02d", w.Start.Format(time.DateOnly), w.Key, w.Start.Hour()), err
}

func ownNames(hours topology.Stream[topology.Windowed[string], Order]) {
	topology.Sync(topology.Count(hours, hourly), &redis.Sink{
		Addr:     *address,
		Category: "orders",
		Key:      byDay, // orders:2026-11-25:customer-1:08
		Version:  "1",
	})
}
