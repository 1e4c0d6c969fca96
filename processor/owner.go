package processor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/tidemark-dev/tidemark/internal/replica"
	"github.com/tidemark-dev/tidemark/internal/rows"
	"github.com/tidemark-dev/tidemark/internal/web"
	"github.com/tidemark-dev/tidemark/topology"
)

// ErrRestoring means that a key's partition is not ready: ask again later.
var ErrRestoring = rows.ErrRestoring

// An ElsewhereError means that another instance has the key and could not be
// asked. Owner is its address, empty if it advertises none; Err says why.
type ElsewhereError = rows.ElsewhereError

// An ownedTable is a table of a group, as this instance has it.
type ownedTable struct {
	member *member
	spec   *topology.StateStore
}

// table returns a table that is not global.
func (p *Processor) table(name string) (ownedTable, error) {
	p.mu.Lock()
	members := p.members
	p.mu.Unlock()
	if members == nil {
		state, err := p.life.now()
		return ownedTable{}, errors.Join(fmt.Errorf("%w: the processor is %v", ErrRestoring, state), err)
	}
	for _, m := range members {
		for i := range m.group.Stores {
			if s := &m.group.Stores[i]; s.Name == name && s.Table {
				return ownedTable{m, s}, nil
			}
		}
	}
	return ownedTable{}, fmt.Errorf("the topology has no table %q", name)
}

// here returns the partitions that this instance has.
func (t ownedTable) here() (parts []*replica.Replica) {
	for _, task := range t.member.tasks() {
		parts = append(parts, task.kept(t.spec.Name).replica)
	}
	return parts
}

// partition returns where a key belongs.
func (t ownedTable) partition(key []byte) int32 {
	return partitionOfRow(t.spec, key, t.member.partitions)
}

// row returns a committed row from this instance's partitions. The record's
// Position is the changelog partition of the key and the offset before which
// all changes are in the answer; its Value is nil if that partition has no such row.
// Errors wrap ErrRestoring, with progress in words, or are an *ElsewhereError
// with the owner's address.
func (p *Processor) row(ctx context.Context, table string, key []byte) (topology.Raw, error) {
	if g := p.global(table); g != nil {
		return g.replica.Row(key)
	}
	t, err := p.table(table)
	if err != nil {
		return topology.Raw{}, err
	}
	r := topology.Raw{Key: key, Position: topology.Position{Topic: t.spec.Changelog, Partition: t.partition(key)}}
	for _, part := range t.here() {
		if part.Partition() == r.Partition {
			return part.Row(key)
		}
	}
	owners, err := p.owners(ctx, table)
	if err != nil {
		return r, err
	}
	if owner := owners[r.Partition]; owner != web.Nobody && (owner != p.config.Advertise || owner == "" && t.member.status() == Running) {
		return r, &ElsewhereError{Owner: owner}
	}
	return r, fmt.Errorf("%w: partition %d is being handed over", ErrRestoring, r.Partition)
}

// rows yields this instance's committed rows with from <= key < to by key. A nil
// to has no end. Partitions that are still being restored end it with ErrRestoring.
func (p *Processor) rows(ctx context.Context, table string, from, to []byte) iter.Seq2[topology.Raw, error] {
	if g := p.global(table); g != nil {
		return g.replica.Rows(ctx, from, to)
	}
	return func(yield func(topology.Raw, error) bool) {
		t, err := p.table(table)
		if err != nil {
			yield(topology.Raw{}, err)
			return
		}
		var parts []iter.Seq2[topology.Raw, error]
		for _, part := range t.here() {
			parts = append(parts, part.Rows(ctx, from, to))
		}
		rows.ByKey(parts)(yield)
	}
}

// changes yields this instance's rows and then every change as it is
// committed, until ctx is done or the instance loses a partition. A nil Value is
// a deleted row.
func (p *Processor) changes(ctx context.Context, table string) iter.Seq2[topology.Raw, error] {
	if g := p.global(table); g != nil {
		return g.replica.Watch(ctx)
	}
	return func(yield func(topology.Raw, error) bool) {
		t, err := p.table(table)
		if err != nil {
			yield(topology.Raw{}, err)
			return
		}
		rows.AsTheyCome(ctx, func(ctx context.Context) (parts []iter.Seq2[topology.Raw, error]) {
			for _, part := range t.here() {
				parts = append(parts, part.Watch(ctx))
			}
			return parts
		})(yield)
	}
}

// owners returns the addresses that the instances advertise, by partition of
// the store's table; "" where none is advertised, web.Nobody where no instance has it.
func (p *Processor) owners(ctx context.Context, table string) ([]string, error) {
	if p.global(table) != nil {
		return nil, nil // everybody has it
	}
	t, err := p.table(table)
	if err != nil {
		return nil, err
	}
	g, err := t.member.coordinator().Describe(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: owners of the partitions: %w", ErrRestoring, err)
	}
	owners := slices.Repeat([]string{web.Nobody}, int(t.member.partitions))
	for _, m := range g.Members {
		s, a := said(m)
		if s == nil || a == nil {
			continue
		}
		for _, partition := range a.Topics[t.member.group.Inputs[0]] {
			if int(partition) < len(owners) {
				owners[partition] = s.Advertise
			}
		}
	}
	return owners, ctx.Err()
}
