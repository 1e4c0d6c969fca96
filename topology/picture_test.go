package topology_test

import (
	"testing"

	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

func TestPicture(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		table := topology.Materialize(b, journal, hellos)
		topology.Sync(table, &memory{"localhost:6379"})

		all := topology.Consume(b, lines)
		even := topology.Filter(topology.Try(all, parse), even)
		topology.Publish(all, topology.Topic[string, string]{Name: "copy"})
		topology.Publish(even, numbers)
		topology.Publish(topology.Aggregate(even, sums, add), topology.Topic[string, int64]{Name: "every-sum"})
		topology.Count(all, counts)
	})
	topologytest.Golden(t, topo.String(), "testdata/picture.golden")
}
