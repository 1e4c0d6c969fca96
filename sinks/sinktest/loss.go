package sinktest

import "github.com/tidemark-dev/tidemark/topology"

// lossChecks are about a target that forgets everything under its owners.
var lossChecks = []check{
	{loses: true, sentence: "a target that lost everything answers with a gap and takes nothing", run: func(tr *trial) {
		o := tr.owner(0)
		o.steps("1", row("a", "a1"))
		o.steps("2", row("a", "a2"))
		tr.loses()
		tr.misses("a")
		o.tries("2", "2", topology.ErrGap)
		o.tries("2", "3", topology.ErrGap, row("a", "x"))
		o.tries("1", "2", topology.ErrGap, row("a", "x"))
		o.tries("", "1", topology.ErrGap, row("a", "x"))
		o.tries("", "", topology.ErrGap)
		tr.misses("a")
		tr.lists(tr.table, nil)
	}},

	{loses: true, sentence: "after a loss the owner goes on with its epoch, from no position", run: func(tr *trial) {
		o := tr.owner(0)
		o.steps("1", row("a", "a1"), row("b", "b1"))
		tr.loses()
		o.opens(o.place.Epoch, nil)
		o.at("")
		o.tries("1", "2", topology.ErrGap, row("a", "x"))
		o.steps("2", row("a", "a2"))
		tr.finds("a", "a2")
		tr.misses("b")
		later := tr.owner(0)
		later.at("2")
		if later.place.Epoch <= o.place.Epoch {
			tr.failf("epoch %d came after %d", later.place.Epoch, o.place.Epoch)
		}
		o.tries("2", "3", topology.ErrFenced, row("a", "x"))
	}},

	{loses: true, sentence: "after a loss a new epoch is later than those that were forgotten", run: func(tr *trial) {
		old := tr.owner(0)
		for range 5 {
			old.opens(0, nil)
		}
		old.steps("1", row("a", "a1"))
		tr.loses()
		later := tr.owner(0)
		later.at("")
		if later.place.Epoch <= old.place.Epoch {
			tr.failf("epoch %d came after %d", later.place.Epoch, old.place.Epoch)
		}
		old.tries("1", "2", topology.ErrFenced, row("a", "x"))
		old.tries("", "1", topology.ErrFenced, row("a", "x"))
		old.opens(old.place.Epoch, topology.ErrFenced)
		later.steps("2", row("a", "a2"))
		tr.finds("a", "a2")
	}},

	{loses: true, sentence: "an old owner that is first after a loss yields to the later one", run: func(tr *trial) {
		old := tr.owner(0)
		later := tr.owner(0)
		later.steps("1", row("a", "a1"))
		tr.loses()
		old.opens(old.place.Epoch, nil)
		old.at("")
		old.steps("0", row("a", "x"))
		later.tries("1", "2", topology.ErrGap, row("a", "x"))
		later.tries("0", "2", topology.ErrGap, row("a", "x"))
		later.opens(later.place.Epoch, nil)
		later.at("0")
		later.steps("2", row("a", "a2"))
		old.tries("0", "1", topology.ErrFenced, row("a", "x"))
		old.opens(old.place.Epoch, topology.ErrFenced)
		tr.finds("a", "a2")
	}},

	{loses: true, sentence: "a partition that lost nothing since goes on", run: func(tr *trial) {
		tr.owner(0).steps("1", row("a", "a1"))
		tr.loses()
		o := tr.owner(1)
		o.steps("1", row("b", "b1"))
		o.tries("1", "1", nil)
		o.steps("2", row("b", "b2"))
		tr.owner(0).at("")
		tr.misses("a")
		tr.finds("b", "b2")
	}},
}
