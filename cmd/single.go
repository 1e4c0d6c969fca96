package cmd

import "github.com/tidemark-dev/tidemark/topology"

// A single is a group of one input and one table.
type single struct {
	*topology.Group
	Input, Store, Table string
	Sinks               []topology.Sink
}

func singles(topo *topology.Topology) (all []*single) {
	for _, g := range topo.Groups() {
		all = append(all, &single{g, g.Inputs[0], g.Stores[0].Name, g.Stores[0].Changelog, g.Stores[0].Sinks})
	}
	return all
}
