package processor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/tidemark-dev/tidemark/internal/rows"
	"github.com/tidemark-dev/tidemark/internal/waiting"
	"github.com/tidemark-dev/tidemark/topology"
)

// An instance is what is served and queried: one instance of an application.
type instance interface {
	Status() any // as JSON
	Health() health
	Tables() []table // by name
	Metrics() []metric

	// Row returns a committed row of this instance's partitions. Its Position is the
	// changelog partition of the key and the offset before which all changes are in the
	// answer; its Value is nil if that partition has no such row. Errors wrap
	// ErrRestoring, or are an *ElsewhereError with the owner's address.
	Row(ctx context.Context, table string, key []byte) (topology.Raw, error)
	// Rows yields this instance's committed rows with from <= key < to by key. A nil to
	// has no end.
	Rows(ctx context.Context, table string, from, to []byte) iter.Seq2[topology.Raw, error]
	// Changes yields this instance's rows and then every change, until ctx is done or
	// the instance loses a partition. A nil Value is a deleted row.
	Changes(ctx context.Context, table string) iter.Seq2[topology.Raw, error]
	// Owners returns the addresses that the instances advertise, by partition of the
	// table; "" where none is advertised, nobody where no instance has it.
	Owners(ctx context.Context, table string) ([]string, error)
	// Strays tells whether a row of the table can be in any partition.
	Strays(ctx context.Context, table string) (bool, error)
	// Anywhere returns a row from whichever of this instance's partitions it is in, with
	// a nil Value if it is in none.
	Anywhere(ctx context.Context, table string, key []byte) (topology.Raw, error)
}

// A health says in short how an instance is.
type health struct {
	State   string         // as the status says it
	Ready   bool           // every partition that the instance has is up to date
	Ended   bool           // it has stopped or failed
	Err     string         // why it failed
	Restore int64          // changelog offsets still to read
	Waiting []waiting.Wait // what the instance waits for
}

// A table is one of the topology's, and what of it is at the instance.
type table struct {
	Name       string  `json:"table"`
	Topic      string  `json:"topic"` // the changelog
	State      string  `json:"state"`
	Partitions []int32 `json:"partitions"` // of this instance, sorted
	Restore    int64   `json:"restore"`    // changelog offsets still to read
}

// A cluster reads the rows of every instance: its own directly, those of others
// over HTTP.
type cluster struct {
	here     instance
	topology *topology.Topology
}

// get returns a row, with a nil value if there is none.
func (c cluster) get(ctx context.Context, store string, key []byte) (topology.Raw, error) {
	r, err := c.here.Row(ctx, store, key)
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
	r, err := c.here.Row(ctx, store, key)
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
		for r, err := range c.here.Rows(ctx, store, from, to) {
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
			c.here.Changes(ctx, store)(yield)
			return
		}
		rows.AsTheyCome(ctx, func(ctx context.Context) []iter.Seq2[topology.Raw, error] {
			parts := []iter.Seq2[topology.Raw, error]{c.here.Changes(ctx, store)}
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
	owners, err := c.here.Owners(ctx, store)
	if err != nil {
		return nil, nil, err
	}
	own, others = c.own(store), map[string][]int32{}
	for i, address := range owners {
		switch partition := int32(i); {
		case slices.Contains(own, partition):
		case address == nobody, address == "" && !c.here.Health().Ready:
			return nil, nil, fmt.Errorf("%w: partition %d has no owner yet", ErrRestoring, i)
		case address == "":
			return nil, nil, &ElsewhereError{Err: fmt.Errorf("partition %d: is Advertise set on every instance?", i)}
		default:
			others[address] = append(others[address], partition)
		}
	}
	return own, others, nil
}

// table returns a table, and what of it is at this instance.
func (c cluster) table(name string) table {
	for _, t := range c.here.Tables() {
		if t.Name == name {
			return t
		}
	}
	return table{}
}

// own returns the partitions of a table that are at this instance, sorted.
func (c cluster) own(name string) []int32 { return c.table(name).Partitions }

// peer returns another instance, asked about a store.
func (c cluster) peer(address, store string) peer {
	return peer{address: address, store: store, table: c.table(store).Topic}
}
