package sinktest

import "github.com/tidemark-dev/tidemark/topology"

// orderChecks are about positions: which step may follow which.
var orderChecks = []check{
	{sentence: "a partition that nobody has opened is at no position", run: func(tr *trial) {
		tr.owner(0).at("")
	}},

	{sentence: "steps are applied in order", run: func(tr *trial) {
		o := tr.owner(0)
		o.steps("1", row("a", "a1"), row("b", "b1"))
		tr.finds("a", "a1")
		tr.finds("b", "b1")
		o.steps("2", row("a", "a2"), row("c", "c2"))
		o.steps("3", row("c", "c3"))
		tr.finds("a", "a2")
		tr.finds("b", "b1")
		tr.finds("c", "c3")
		tr.owner(0).at("3")
	}},

	{sentence: "a step that was taken is a duplicate and changes nothing", run: func(tr *trial) {
		o := tr.owner(0)
		o.steps("1", row("a", "a1"))
		o.tries("", "1", topology.ErrDuplicate, row("a", "x"), row("b", "x"))
		tr.finds("a", "a1")
		tr.misses("b")
		o.steps("2", row("a", "a2"))
		o.tries("1", "2", topology.ErrDuplicate, gone("a"))
		tr.finds("a", "a2")
		o.steps("3", row("a", "a3"))
	}},

	{sentence: "an old step that comes late is a gap and changes nothing", run: func(tr *trial) {
		o := tr.owner(0)
		o.steps("1", row("a", "a1"))
		o.steps("2", row("a", "a2"))
		o.tries("", "1", topology.ErrGap, row("a", "a1"))
		tr.finds("a", "a2")
		o.steps("3")
		o.tries("1", "2", topology.ErrGap, gone("a"))
		tr.finds("a", "a2")
		o.steps("4", row("a", "a4"))
	}},

	{sentence: "a step that begins elsewhere is a gap and changes nothing", run: func(tr *trial) {
		o := tr.owner(0)
		o.tries("1", "2", topology.ErrGap, row("a", "x"))
		o.steps("1", row("a", "a1"))
		o.tries("2", "3", topology.ErrGap, row("a", "x"))
		o.tries("0", "3", topology.ErrGap, row("a", "x"))
		o.tries("", "3", topology.ErrGap, row("a", "x"))
		tr.finds("a", "a1")
		o.steps("2", row("a", "a2"))
	}},

	{sentence: "a position is a name and not a number", run: func(tr *trial) {
		o := tr.owner(0)
		o.steps("9", row("a", "1"))
		o.steps("10", row("a", "2"))
		for _, like := range []string{"010", "10.0", "1e1", " 10", "10 ", "+10"} {
			o.tries(like, "11", topology.ErrGap, row("a", "x"))
			o.tries("9", like, topology.ErrGap, row("a", "x"))
		}
		o.steps("3", row("a", "3"))
		o.steps(`Zm9v_-topic@9007199254740993+12`, row("a", "4"))
		o.tries(`Zm9v_-topic@9007199254740992+12`, "5", topology.ErrGap, row("a", "x"))
		o.steps("größer 'als' \"nichts\"\x00\xff", row("a", "5"))
		tr.finds("a", "5")
		tr.owner(0).at("größer 'als' \"nichts\"\x00\xff")
	}},

	{sentence: "a step without rows moves the position", run: func(tr *trial) {
		o := tr.owner(0)
		o.steps("1")
		o.tries("", "1", topology.ErrDuplicate)
		o.steps("2", row("a", "a2"))
		o.tries("", "1", topology.ErrGap)
		tr.owner(0).at("2")
	}},

	{sentence: "a step to where it begins asks whether the target stands there", run: func(tr *trial) {
		o := tr.owner(0)
		o.tries("", "", nil)
		o.steps("1", row("a", "a1"))
		o.tries("1", "1", nil)
		o.tries("1", "1", nil)
		o.tries("0", "0", topology.ErrGap)
		o.tries("", "", topology.ErrGap)
		tr.finds("a", "a1")
		o.steps("2", row("a", "a2"))
	}},
}
