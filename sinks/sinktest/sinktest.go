// Package sinktest is the suite that every sink must pass.
//
//	func TestMine(t *testing.T) {
//		sinktest.Run(t, sinktest.Target{
//			New:  func(*testing.T) topology.Sink { return &Mine{Addr: addr} },
//			Get:  func(t *testing.T, table string, key []byte) []byte { … },
//			Lose: func(t *testing.T) { … },
//		})
//	}
//
// memory_test.go beside it has the contract in its smallest form.
package sinktest

import (
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/topology"
)

// A Target is an outside system as the suite sees it.
type Target struct {
	// New returns another handle on the same target, as a second process has. The
	// suite closes it if it is an io.Closer. Required.
	New func(t *testing.T) topology.Sink

	// Get returns what a reader finds under a name: a row's key, or the text of one
	// if the table has a format. Nil if nothing, and not nil for an empty value. It
	// may be called from several goroutines. Required.
	Get func(t *testing.T, table string, name []byte) []byte

	// Lose makes the target forget everything, also what is not the suite's.
	// Defaults to not testing what follows.
	Lose func(t *testing.T)

	// Bytes says that the target is read by tidemark only, and keeps the bytes of
	// rows whatever their format is.
	Bytes bool

	// Keyed returns another handle, which names rows as a function of the program
	// does. Defaults to having none.
	Keyed func(t *testing.T, key func([]byte) (string, error)) topology.Sink

	// Limit is how many bytes a value may have at most. Defaults to not testing what
	// is above.
	Limit int
}

// Run runs each check as a subtest. The tables have names that were not used
// before, and their rows are left where they are.
func Run(t *testing.T, target Target) {
	for _, c := range checks {
		t.Run(c.sentence, func(t *testing.T) {
			switch {
			case c.loses && target.Lose == nil:
				t.Skip("the target has no Lose")
			case c.text && target.Bytes:
				t.Skip("the target keeps bytes")
			case c.keyed && target.Keyed == nil:
				t.Skip("the target has no Keyed")
			case c.limit && target.Limit == 0:
				t.Skip("the target has no Limit")
			}
			if err := c.err(t, target); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A check presents a sink with a course of events and compares what it answers
// and what a reader finds.
type check struct {
	sentence string // what is true of a sink that passes
	run      func(*trial)
	loses    bool // needs Target.Lose
	text     bool // needs a target without Bytes
	keyed    bool // needs Target.Keyed
	limit    bool // needs Target.Limit
}

var checks = slices.Concat(orderChecks, ownerChecks, foreignChecks, rowChecks, textChecks, raceChecks, lossChecks)

// err returns what went wrong first.
func (c check) err(t *testing.T, target Target) error {
	tr := &trial{t: t, target: target, table: freshTable()}
	c.run(tr)
	for _, closer := range tr.closers {
		if err := closer.Close(); err != nil {
			tr.failf("close: %w", err)
		}
	}
	return tr.failed()
}

var tables atomic.Int64

// freshTable returns a name that no earlier run has used on the same target.
func freshTable() string {
	return fmt.Sprintf("sinktest-%s-%d", strconv.FormatInt(time.Now().UnixNano(), 36), tables.Add(1))
}
