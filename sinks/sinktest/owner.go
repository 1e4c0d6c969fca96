package sinktest

import (
	"slices"
	"sync"

	"github.com/tidemark-dev/tidemark/topology"
)

// ownerChecks are about epochs: who may write.
var ownerChecks = []check{
	{sentence: "a sink has a name", run: func(tr *trial) {
		if tr.sink().String() == "" {
			tr.failf("String is empty")
		}
	}},

	{sentence: "every new epoch is later than all before it", run: func(tr *trial) {
		o := tr.owner(0)
		for range 50 {
			before := o.place.Epoch
			o.opens(0, nil)
			if o.place.Epoch <= before {
				tr.failf("epoch %d came after %d", o.place.Epoch, before)
			}
		}
		o.steps("1", row("a", "a1"))
	}},

	{sentence: "owners that open at once have epochs of their own, and the last one writes", run: func(tr *trial) {
		owners := make([]*owner, 8)
		var wg sync.WaitGroup
		for i := range owners {
			owners[i] = tr.newcomer(tr.table, 0, tr.sink())
			wg.Go(func() { owners[i].opens(0, nil) })
		}
		wg.Wait()
		slices.SortFunc(owners, func(a, b *owner) int { return int(a.place.Epoch - b.place.Epoch) })
		for i, o := range owners[:len(owners)-1] {
			if o.place.Epoch == owners[i+1].place.Epoch {
				tr.failf("two owners have the epoch %d", o.place.Epoch)
			}
			o.tries("", "1", topology.ErrFenced, row("a", "x"))
		}
		owners[len(owners)-1].steps("1", row("a", "a1"))
	}},

	{sentence: "a later owner goes on where the one before stood", run: func(tr *trial) {
		first := tr.owner(0)
		first.steps("1", row("a", "a1"))
		second := tr.owner(0)
		second.at("1")
		if second.place.Epoch <= first.place.Epoch {
			tr.failf("the second owner's epoch %d is not after the first one's %d", second.place.Epoch, first.place.Epoch)
		}
		second.steps("2", row("a", "a2"))
		tr.finds("a", "a2")
	}},

	{sentence: "a later owner fences the one before", run: func(tr *trial) {
		first := tr.owner(0)
		first.steps("1", row("a", "a1"))
		second := tr.owner(0)
		first.tries("1", "2", topology.ErrFenced, row("a", "x"))
		first.tries("", "1", topology.ErrFenced, row("a", "x"))
		first.tries("1", "1", topology.ErrFenced)
		first.tries("7", "8", topology.ErrFenced, row("a", "x"))
		first.opens(first.place.Epoch, topology.ErrFenced)
		tr.finds("a", "a1")
		second.steps("2", row("a", "a2"))
		first.tries("1", "2", topology.ErrFenced, row("a", "x"))
		first.tries("2", "3", topology.ErrFenced, gone("a"))
		first.opens(first.place.Epoch, topology.ErrFenced)
		tr.finds("a", "a2")
		second.steps("3", row("a", "a3"))
	}},

	{sentence: "an owner that opens again keeps its epoch and its position", run: func(tr *trial) {
		o := tr.owner(0)
		o.opens(o.place.Epoch, nil)
		o.at("")
		o.steps("1", row("a", "a1"))
		o.opens(o.place.Epoch, nil)
		o.at("1")
		o.steps("2", row("a", "a2"))
		o.opens(o.place.Epoch, nil)
		o.at("2")
		tr.finds("a", "a2")
	}},

	{sentence: "one handle may stand for two owners", run: func(tr *trial) {
		first := tr.owner(0)
		second := &owner{trial: tr, Source: first.Source, sink: first.sink}
		second.opens(0, nil)
		second.steps("1", row("a", "a1"))
		first.tries("", "1", topology.ErrFenced, row("a", "x"))
		second.steps("2", row("a", "a2"))
		tr.finds("a", "a2")
	}},

	{sentence: "partitions have epochs and positions of their own", run: func(tr *trial) {
		zero, one, eleven := tr.owner(0), tr.owner(1), tr.owner(11)
		zero.steps("5", row("a", "0"))
		one.steps("7", row("b", "1"))
		eleven.steps("5", row("c", "11"))
		later := tr.owner(1)
		later.at("7")
		one.tries("7", "8", topology.ErrFenced, row("b", "x"))
		zero.steps("6", row("a", "0 again"))
		eleven.steps("6", row("c", "11 again"))
		tr.finds("a", "0 again")
		tr.finds("b", "1")
		tr.finds("c", "11 again")
	}},

	{sentence: "tables have epochs, positions and rows of their own", run: func(tr *trial) {
		other := tr.table + "1"
		this, that := tr.owner(1), tr.ownerOf(other, 1)
		this.steps("1", row("a", "this"), row("b", "this"))
		that.steps("2", row("a", "that"))
		tr.ownerOf(other, 1).at("2")
		this.steps("2", gone("a"))
		tr.misses("a")
		tr.findsIn(other, "a", "that")
		tr.lists(tr.table, map[string]bool{"b": true})
		tr.lists(other, map[string]bool{"a": true})
	}},
}
