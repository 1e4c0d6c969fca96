package topologytest

import (
	"bytes"
	"slices"

	"github.com/tidemark-dev/tidemark/topology"
)

// RowsRaw returns what a store holds, as it is and by key: of a table, of a global
// table, or of what a step keeps for itself. None are of a store that is not there.
func (d *Driver) RowsRaw(store string) []topology.Row {
	rows := slices.Clone(d.rows(store))
	slices.SortStableFunc(rows, func(a, b topology.Row) int { return bytes.Compare(a.Key, b.Key) })
	return rows
}

// ReceivedRaw is Received with records as they are.
func (d *Driver) ReceivedRaw(topic string) []topology.Raw {
	raws := d.published[topic]
	delete(d.published, topic)
	return raws
}
