package topology_test

import (
	"context"
	"iter"

	"github.com/tidemark-dev/tidemark/topology"
)

// memory is a sink that is only named.
type memory struct{ name string }

func (m *memory) String() string { return "memory " + m.name }

func (*memory) Open(context.Context, topology.Source, int64) (topology.Place, error) {
	return topology.Place{}, nil
}

func (*memory) Apply(context.Context, topology.Batch) error { return nil }

func (*memory) Keys(context.Context, topology.Source) iter.Seq2[topology.Held, error] {
	return func(func(topology.Held, error) bool) {}
}
