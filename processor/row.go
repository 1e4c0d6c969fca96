package processor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/rows"
	"github.com/tidemark-dev/tidemark/internal/store"
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

func (e *ElsewhereError) Error() string {
	text := "another instance has the key, and advertises no address"
	if e.Owner != "" {
		text = "another instance has the key, at " + e.Owner
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *ElsewhereError) Unwrap() error { return e.Err }

// A keeper is a member, asked about one of its tables.
type keeper struct {
	*member
	*topology.StateStore
}

// keeper returns who keeps a table.
func (p *Processor) keeper(table string) (keeper, error) {
	p.mu.Lock()
	members := p.members
	p.mu.Unlock()
	if members == nil {
		state, err := p.life.now()
		return keeper{}, errors.Join(fmt.Errorf("%w: the processor is %v", ErrRestoring, state), err)
	}
	for _, m := range members {
		for i := range m.group.Stores {
			if s := &m.group.Stores[i]; s.Name == table && s.Table {
				return keeper{m, s}, nil
			}
		}
	}
	return keeper{}, fmt.Errorf("the topology has no table %q", table)
}

// parts returns the table's partitions that are here.
func (k keeper) parts() (parts []*kept) {
	for _, t := range k.tasks() {
		parts = append(parts, t.kept(k.Name))
	}
	return parts
}

// row returns a committed row from this instance's partitions. The record's
// Position is the changelog partition of the key and the offset before which
// all changes are in the answer; its Value is nil if that partition has no such row.
// Errors wrap ErrRestoring, with progress in words, or are an *ElsewhereError
// with the owner's address.
func (p *Processor) row(ctx context.Context, table string, key []byte) (topology.Raw, error) {
	if g := p.global(table); g != nil {
		return g.row(key)
	}
	k, err := p.keeper(table)
	if err != nil {
		return topology.Raw{}, err
	}
	r := topology.Raw{Key: key, Position: topology.Position{Topic: k.Changelog, Partition: partitionOfRow(k.StateStore, key, k.partitions)}}
	for _, part := range k.parts() {
		if part.partition == r.Partition {
			return part.row(r)
		}
	}
	owners, err := p.owners(ctx, table)
	if err != nil {
		return r, err
	}
	if owner := owners[r.Partition]; owner != nobody && (owner != p.config.Advertise || owner == "" && k.status() == Running) {
		return r, &ElsewhereError{Owner: owner}
	}
	return r, fmt.Errorf("%w: partition %d is being handed over", ErrRestoring, r.Partition)
}

// row reads a row.
func (k *kept) row(r topology.Raw) (topology.Raw, error) {
	s := k.view.Load()
	if s == nil {
		return r, k.restoring()
	}
	value, at, offset, err := s.Committed(r.Key)
	if r.Offset = offset; err != nil {
		return r, k.reason(err)
	}
	if value != nil {
		r.Value, r.Time = value, time.UnixMilli(at)
	}
	return r, nil
}

func (k *kept) reason(err error) error {
	return unreadable(err, fmt.Sprintf("store %s", k), k.restoring)
}

// unreadable is an error of a store as a reader is to see it: what is closed or
// damaged is about to be restored.
func unreadable(err error, what string, restoring func() error) error {
	switch {
	case errors.Is(err, store.ErrClosed):
		return restoring()
	case errors.Is(err, store.ErrDamaged):
		return fmt.Errorf("%w: %s: %w", ErrRestoring, what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// restoring says how far the store is.
func (k *kept) restoring() error {
	if left := k.left.Load(); left > 0 {
		return fmt.Errorf("%w: partition %d has %d changelog records to read", ErrRestoring, k.partition, left)
	}
	return fmt.Errorf("%w: partition %d is being opened", ErrRestoring, k.partition)
}

// rows yields this instance's committed rows with from <= key < to by key. A nil
// to has no end. Partitions that are still being restored end it with ErrRestoring.
func (p *Processor) rows(ctx context.Context, table string, from, to []byte) iter.Seq2[topology.Raw, error] {
	if g := p.global(table); g != nil {
		return g.all(ctx, from, to)
	}
	return func(yield func(topology.Raw, error) bool) {
		k, err := p.keeper(table)
		if err != nil {
			yield(topology.Raw{}, err)
			return
		}
		var parts []iter.Seq2[topology.Raw, error]
		for _, part := range k.parts() {
			parts = append(parts, part.all(ctx, from, to))
		}
		rows.ByKey(parts)(yield)
	}
}

// all is rows as an iterator.
func (k *kept) all(ctx context.Context, from, to []byte) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		var err error
		if _, ok := k.rows(ctx, from, to, func(r topology.Raw) bool { return yield(r, nil) }, &err); !ok && err != nil {
			yield(topology.Raw{}, err)
		}
	}
}

// rows yields the committed rows of a partition, and returns their changelog
// position.
func (k *kept) rows(ctx context.Context, from, to []byte, yield func(topology.Raw) bool, failed *error) (position int64, ok bool) {
	s := k.view.Load()
	if s == nil {
		*failed = k.restoring()
		return 0, false
	}
	snap, err := s.Snapshot()
	if err != nil {
		*failed = fmt.Errorf("%w: %w", ErrRestoring, err)
		return 0, false
	}
	defer snap.Release()
	at := topology.Position{Topic: k.Changelog, Partition: k.partition, Offset: snap.Position}
	for r, err := range snap.Rows(from, to) {
		switch {
		case ctx.Err() != nil:
			*failed = ctx.Err()
			return 0, false
		case err != nil:
			*failed = fmt.Errorf("%w: %w", ErrRestoring, err)
			return 0, false
		case !yield(topology.Raw{Key: r.Key, Value: r.Value, Time: time.UnixMilli(r.Time), Position: at}):
			return 0, false
		}
	}
	return snap.Position, true
}

// changes yields this instance's rows and then every change as it is
// committed, until ctx is done or the instance loses a partition. A nil Value is
// a deleted row.
func (p *Processor) changes(ctx context.Context, table string) iter.Seq2[topology.Raw, error] {
	if g := p.global(table); g != nil {
		return g.changes(ctx)
	}
	return func(yield func(topology.Raw, error) bool) {
		k, err := p.keeper(table)
		if err != nil {
			yield(topology.Raw{}, err)
			return
		}
		rows.AsTheyCome(ctx, func(ctx context.Context) (parts []iter.Seq2[topology.Raw, error]) {
			for _, part := range k.parts() {
				parts = append(parts, part.changes(ctx))
			}
			return parts
		})(yield)
	}
}

// changes yields the rows of a partition and then every change. It ends with an error.
func (k *kept) changes(ctx context.Context) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		enough := false
		err := k.follow(ctx, func(r topology.Raw) bool {
			enough = !yield(r, nil)
			return !enough
		})
		if err != nil && !enough && ctx.Err() == nil {
			yield(topology.Raw{}, err)
		}
	}
}

func (k *kept) follow(ctx context.Context, yield func(topology.Raw) bool) error {
	var err error
	at, ok := k.rows(ctx, nil, nil, yield, &err)
	for ok && ctx.Err() == nil {
		news := k.news.Next()
		s := k.view.Load()
		if s == nil {
			return fmt.Errorf("%w: partition %d has gone elsewhere", ErrRestoring, k.partition)
		}
		if at >= s.Position() {
			select {
			case <-news:
			case <-ctx.Done():
			}
			continue
		}
		at, _, err = k.changelog().Read(at, 100*time.Millisecond, func(r *sarama.Record, offset int64, when time.Time) error {
			raw := topology.Raw{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value), Time: when}
			raw.Position = topology.Position{Topic: k.Changelog, Partition: k.partition, Offset: offset + 1}
			if !yield(raw) {
				return context.Canceled
			}
			return nil
		})
		ok = err == nil
	}
	return err
}

// nobody owns a partition that is being handed over.
const nobody = "nobody"

// owners returns the addresses that the instances advertise, by partition of
// the store's table; "" where none is advertised, nobody where no instance has it.
func (p *Processor) owners(ctx context.Context, table string) ([]string, error) {
	if p.global(table) != nil {
		return nil, nil // everybody has it
	}
	k, err := p.keeper(table)
	if err != nil {
		return nil, err
	}
	g, err := k.coordinator().Describe(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: owners of the partitions: %w", ErrRestoring, err)
	}
	owners := slices.Repeat([]string{nobody}, int(k.partitions))
	for _, m := range g.Members {
		s, a := said(m)
		if s == nil || a == nil {
			continue
		}
		for _, partition := range a.Topics[k.group.Inputs[0]] {
			if int(partition) < len(owners) {
				owners[partition] = s.Advertise
			}
		}
	}
	return owners, ctx.Err()
}
