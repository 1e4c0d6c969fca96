package topology_test

import (
	"fmt"
	"testing"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// Bad input must stop no scenario, where a processor runs it.
var skipping = topology.Topic[string, hello]{
	Name: "hello-log-store", Key: codec.String{}, Value: codec.JSON[hello]{},
	Policies: topology.Policies{Decode: topology.Skip, Process: topology.Skip},
}

// scenarios are the topologies of the files in testdata.
var scenarios = map[string]func(*topology.Builder){
	"hello": func(b *topology.Builder) { topology.Materialize(b, skipping, hellos) },
	"count": func(b *topology.Builder) {
		every := topology.Store[string, int64]{Name: "hello-count-store", EveryChange: true}
		table := topology.Count(topology.Consume(b, skipping), every)
		topology.Publish(table, topology.Topic[string, int64]{Name: "hello-counts"})
	},
}

func TestScenarios(t *testing.T) {
	for name, declare := range scenarios {
		t.Run(name, func(t *testing.T) {
			b := topology.NewBuilder(name)
			declare(b)
			topo, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			topologytest.New(t, topo, 3).Scenario(fmt.Sprintf("../testdata/%s.txt", name))
		})
	}
}
