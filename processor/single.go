package processor

import (
	"fmt"
	"iter"

	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/topology"
)

// A single is a group of one input and one table.
type single struct {
	*topology.Group
	Input, Store, Table string
	EveryChange         bool
	Sinks               []topology.Sink
}

func newSingle(g *topology.Group) (*single, error) {
	if len(g.Inputs) != 1 || len(g.Stores) != 1 || len(g.Globals) > 0 {
		return nil, fmt.Errorf("group %s: it has inputs %q and %d stores: this processor runs groups of one of each", g.Name, g.Inputs, len(g.Stores))
	}
	s := g.Stores[0]
	return &single{g, g.Inputs[0], s.Name, s.Changelog, s.EveryChange, s.Sinks}, nil
}

// storeRows shows a task its store.
type storeRows struct{ *store.Store }

func (storeRows) Scan([]byte, []byte) iter.Seq2[topology.Row, error] { return nil }
func (storeRows) Due() iter.Seq2[topology.Row, error]                { return nil }
