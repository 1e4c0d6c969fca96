package processor

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/tidemark-dev/tidemark/topology"
)

// ErrRestoring means that a key's partition is not ready: ask again later.
var ErrRestoring = errors.New("restoring")

// An ElsewhereError means that another instance has the key and could not be
// asked. Owner is its address, empty if it advertises none.
type ElsewhereError struct {
	Owner string
	Err   error
}

func (e *ElsewhereError) Error() string { return fmt.Sprintf("owned by %q: %v", e.Owner, e.Err) }

func (e *ElsewhereError) Unwrap() error { return e.Err }

// row returns a committed row from this instance's partitions. The record's
// Position is the changelog partition of the key and the offset up to which
// the answer is current (the first one not in it); its Value is nil if there is no such row.
// Errors: ErrRestoring (wrapped, with progress in words), *ElsewhereError with
// the owner's address, or that the topology has no such store.
func (p *Processor) row(ctx context.Context, store string, key []byte) (topology.Raw, error) {
	return topology.Raw{}, nil
}

// rows yields this instance's committed rows with from <= key < to, partition by
// partition, in order within one. A nil to has no end.
func (p *Processor) rows(ctx context.Context, store string, from, to []byte) iter.Seq2[topology.Raw, error] {
	return nil
}

// changes yields this instance's rows and then every change as it is
// committed, until ctx is done. A nil Value is a deleted row.
func (p *Processor) changes(ctx context.Context, store string) iter.Seq2[topology.Raw, error] {
	return nil
}

// members returns the addresses that the other instances advertise, by
// partition of the store's table; "" for this instance's own partitions and
// for owners that advertise nothing.
func (p *Processor) owners(ctx context.Context, store string) ([]string, error) { return nil, nil }
