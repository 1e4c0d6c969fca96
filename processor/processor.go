// Package processor runs a topology on Kafka and answers queries about its tables.
package processor

import (
	"context"
	"errors"
	"iter"

	"github.com/tidemark-dev/tidemark/topology"
)

// A Processor is one instance of an application. It is safe for concurrent use.
type Processor struct {
	topology *topology.Topology
	config   Config
}

// New returns a processor. It contacts nothing; the error lists every setting
// that is wrong.
func New(t *topology.Topology, cfg Config) (*Processor, error) {
	return nil, errors.New("not built yet")
}

// Run processes records until ctx is done and what was begun is committed, or
// until an error ends the instance. It may be called once.
func (p *Processor) Run(ctx context.Context) error { return nil }

// Wait returns when the processor is in the state, with an error when it has
// ended without or when ctx is done.
func (p *Processor) Wait(ctx context.Context, s State) error { return nil }

// States yields the current state and each one after it, until the last or
// until ctx is done.
func (p *Processor) States(ctx context.Context) iter.Seq[State] { return func(func(State) bool) {} }

// Status returns what this instance is doing.
func (p *Processor) Status() Status { return Status{} }
