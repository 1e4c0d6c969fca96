package processor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/tidemark-dev/tidemark/internal/rows"
	"github.com/tidemark-dev/tidemark/topology"
)

// An instance is what queries need of a *Processor.
type instance interface {
	Status() Status
	row(ctx context.Context, store string, key []byte) (topology.Raw, error)
	rows(ctx context.Context, store string, from, to []byte) iter.Seq2[topology.Raw, error]
	changes(ctx context.Context, store string) iter.Seq2[topology.Raw, error]
	owners(ctx context.Context, store string) ([]string, error)
	strays(ctx context.Context, store string) (bool, error)
	anywhere(ctx context.Context, store string, key []byte) (topology.Raw, error)
}

// A cluster reads the rows of every instance: its own directly, those of others
// over HTTP.
type cluster struct {
	instance
	topology *topology.Topology
}

// get returns a row, with a nil value if there is none.
func (c cluster) get(ctx context.Context, store string, key []byte) (topology.Raw, error) {
	r, err := c.row(ctx, store, key)
	if e, ok := errors.AsType[*ElsewhereError](err); ok && e.Owner != "" {
		r, err = c.peer(e.Owner, store).row(ctx, key)
	}
	if err != nil || r.Value != nil {
		return r, err
	}
	r.Key = key
	return c.find(ctx, store, r)
}

// getHere is get for this instance only.
func (c cluster) getHere(ctx context.Context, store string, key []byte) (topology.Raw, error) {
	r, err := c.row(ctx, store, key)
	if err != nil || r.Value != nil {
		return r, err
	}
	r.Key = key
	return c.findHere(ctx, store, r)
}

// all yields the rows with from <= key < to, instance by instance. A nil to has no
// end.
func (c cluster) all(ctx context.Context, store string, from, to []byte) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		own, others, err := c.shares(ctx, store)
		if err != nil {
			yield(topology.Raw{}, err)
			return
		}
		for r, err := range c.local(ctx, store, own, from, to) {
			if !yield(r, err) || err != nil {
				return
			}
		}
		for _, address := range slices.Sorted(maps.Keys(others)) {
			for r, err := range c.peer(address, store).rows(ctx, others[address], from, to, 0) {
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}

// ordered yields the first rows with from <= key < to by key, whichever instance
// they are at: at least as many as limit, if there are. It holds no more than what
// each instance is about to yield.
func (c cluster) ordered(ctx context.Context, store string, from, to []byte, limit int) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		own, others, err := c.shares(ctx, store)
		if err != nil {
			yield(topology.Raw{}, err)
			return
		}
		parts := []iter.Seq2[topology.Raw, error]{c.local(ctx, store, own, from, to)}
		for address, partitions := range others {
			parts = append(parts, c.peer(address, store).rows(ctx, partitions, from, to, limit))
		}
		rows.ByKey(parts)(yield)
	}
}

// local yields the rows of this instance by key, and an error if its partitions are
// not, or no longer, those that are expected. It is looked at the first row, with
// which it is decided whose rows come, and at the end.
func (c cluster) local(ctx context.Context, store string, own []int32, from, to []byte) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		moved := func() bool { return !slices.Equal(c.own(store), own) }
		moving := fmt.Errorf("%w: partitions of %q are moving", ErrRestoring, store)
		first := true
		for r, err := range c.rows(ctx, store, from, to) {
			if first && err == nil && moved() {
				r, err = topology.Raw{}, moving
			}
			if first = false; !yield(r, err) || err != nil {
				return
			}
		}
		if moved() {
			yield(topology.Raw{}, moving)
		}
	}
}

// watch yields every row and then every change, until ctx is done.
func (c cluster) watch(ctx context.Context, store string) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		_, others, err := c.shares(ctx, store)
		if err != nil {
			yield(topology.Raw{}, err)
			return
		}
		if len(others) == 0 {
			c.changes(ctx, store)(yield)
			return
		}
		rows.AsTheyCome(ctx, func(ctx context.Context) []iter.Seq2[topology.Raw, error] {
			parts := []iter.Seq2[topology.Raw, error]{c.changes(ctx, store)}
			for address, partitions := range others {
				parts = append(parts, c.peer(address, store).changes(ctx, partitions))
			}
			return parts
		})(yield)
	}
}

// shares returns this instance's partitions of a store's table, and those of
// the others by their address.
func (c cluster) shares(ctx context.Context, store string) (own []int32, others map[string][]int32, err error) {
	owners, err := c.owners(ctx, store)
	if err != nil {
		return nil, nil, err
	}
	own, others = c.own(store), map[string][]int32{}
	for i, address := range owners {
		switch partition := int32(i); {
		case slices.Contains(own, partition):
		case address == nobody, address == "" && c.Status().State != Running:
			return nil, nil, fmt.Errorf("%w: partition %d has no owner yet", ErrRestoring, i)
		case address == "":
			return nil, nil, &ElsewhereError{Err: fmt.Errorf("partition %d: is Advertise set on every instance?", i)}
		default:
			others[address] = append(others[address], partition)
		}
	}
	return own, others, nil
}

// own returns the partitions of the tasks that keep a store here, sorted.
func (c cluster) own(store string) []int32 {
	own := []int32{}
	for _, g := range c.Status().Globals {
		for p := range g.Partitions {
			if g.Table == store {
				own = append(own, p)
			}
		}
	}
	for _, t := range c.Status().Tasks {
		if t.Table == store {
			own = append(own, t.Partition)
		}
	}
	slices.Sort(own)
	return own
}

// changelog returns a store's topic.
func (c cluster) changelog(store string) string {
	for _, g := range c.topology.Groups() {
		for _, s := range g.Stores {
			if s.Name == store {
				return s.Changelog
			}
		}
	}
	return ""
}

// peer returns another instance, asked about a store.
func (c cluster) peer(address, store string) peer {
	return peer{address: address, store: store, table: c.changelog(store)}
}
