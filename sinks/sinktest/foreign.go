package sinktest

import (
	"errors"
	"strings"

	"github.com/tidemark-dev/tidemark/topology"
)

// foreignChecks are about a target that belongs to somebody else.
var foreignChecks = []check{
	{sentence: "another application is refused by name, and changes nothing", run: func(tr *trial) {
		tr.refuses(topology.Owner{Application: "another", Cluster: us.Cluster})
	}},

	{sentence: "another Kafka cluster is refused by name, and changes nothing", run: func(tr *trial) {
		tr.refuses(topology.Owner{Application: us.Application, Cluster: "cluster-2"})
	}},

	{sentence: "a table is one owner's, also where he has not opened it yet", run: func(tr *trial) {
		tr.owner(0).steps("1", row("a", "a1"))
		stranger := tr.newcomer(tr.table, 7, tr.sink())
		stranger.Owner.Application = "another"
		stranger.opens(0, topology.ErrForeign)
		tr.owner(7).steps("1", row("b", "b1"))
	}},

	{loses: true, sentence: "after a loss a table is whose comes first", run: func(tr *trial) {
		o := tr.owner(0)
		o.steps("1", row("a", "a1"))
		tr.loses()
		stranger := tr.newcomer(tr.table, 1, tr.sink())
		stranger.Owner.Application = "another"
		stranger.opens(0, nil)
		stranger.steps("1", row("b", "b1"))
		o.tries("1", "2", topology.ErrForeign, row("a", "x"))
		o.tries("", "2", topology.ErrForeign, row("a", "x"))
		o.opens(o.place.Epoch, topology.ErrForeign)
		tr.misses("a")
		stranger.steps("2", row("b", "b2"))
	}},
}

// refuses expects that somebody else cannot take a partition, nor write to it.
func (tr *trial) refuses(other topology.Owner) {
	o := tr.owner(0)
	o.steps("1", row("a", "a1"))
	stranger := tr.newcomer(tr.table, 0, tr.sink())
	stranger.Owner = other
	stranger.opens(0, topology.ErrForeign)
	stranger.place.Epoch = o.place.Epoch
	for range 2 { // with the owner's epoch, and with a later one
		stranger.opens(stranger.place.Epoch, topology.ErrForeign)
		stranger.tries("1", "2", topology.ErrForeign, row("a", "x"))
		stranger.tries("1", "1", topology.ErrForeign)
		stranger.place.Epoch += 1000
	}
	if _, err := stranger.sink.Open(tr.t.Context(), stranger.Source, 0); !errors.Is(err, topology.ErrForeign) ||
		!strings.Contains(err.Error(), us.String()) || !strings.Contains(err.Error(), other.String()) {
		tr.failf("open of %s: %s, which does not name %s", other, said(err), us)
	}
	tr.finds("a", "a1")
	o.steps("2", row("a", "a2"))
	o.opens(o.place.Epoch, nil)
	o.at("2")
	tr.finds("a", "a2")
}
