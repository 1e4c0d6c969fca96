package processor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/topology"
)

// A place is a position of a sink, which is a string to it: the changelog's
// incarnation, the next changelog offset, and when that was written:
// "<topic id>@<offset>@<seconds since 1970>". Within a rebuild "+<n>" follows.
type place struct {
	source string
	offset int64
	at     time.Time
}

func (p place) String() string { return fmt.Sprintf("%s@%d@%d", p.source, p.offset, p.at.Unix()) }

// locate says from where to go on, or why that can't be.
func (f *follower) locate(position string) (place, error) {
	parts := strings.Split(position, "@")
	switch {
	case position == "":
		return place{}, errors.New("the target knows nothing of the table")
	case len(parts) != 3:
		return place{}, fmt.Errorf("the target's position %q is not ours", position)
	case parts[0] != f.source:
		return place{}, errors.New("the target followed another incarnation of the table")
	case strings.Contains(parts[2], "+"):
		return place{}, errors.New("an earlier rebuild did not finish")
	}
	offset, err := strconv.ParseInt(parts[1], 10, 64)
	seconds, err2 := strconv.ParseInt(parts[2], 10, 64)
	p := place{f.source, offset, time.Unix(seconds, 0)}
	end, retention := f.end.Load(), f.topics.retention[f.Changelog]
	switch {
	case err != nil || err2 != nil || p.String() != position:
		return place{}, fmt.Errorf("the target's position %q is not ours", position)
	case offset > max(end, f.tried):
		return place{}, fmt.Errorf("the target is at %d, and the changelog ends at %d", offset, end)
	case offset < end && time.Since(p.at) > retention:
		return place{}, fmt.Errorf("the target was left %v ago, and the changelog keeps tombstones for %v", time.Since(p.at).Round(time.Second), retention)
	}
	return p, nil
}

// rebuild writes the table as it is now, and first deletes what is not in it.
// It takes the rows from the table and not from the changelog, where a key's
// older values may still stand, and the target would show them.
func (f *follower) rebuild(position string) error {
	f.counts.sinkRebuilds.Add(1)
	snap, err := f.store.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	if snap.Position < f.tried {
		return fmt.Errorf("table is at %d, target may be at %d", snap.Position, f.tried) // not yet saved
	}
	goal, n := place{f.source, snap.Position, time.Now()}, 0
	next := func(rows []topology.Raw, to string) error {
		if to == "" {
			to = goal.String() + "+" + strconv.Itoa(n)
		}
		n++
		err := f.apply(position, to, rows)
		position = to
		return err
	}
	if err := next(nil, ""); err != nil {
		return err
	}
	f.tried = max(f.tried, snap.Position)
	c := &f.rows
	defer c.reset()
	add := func(r topology.Raw) error {
		if c.add(r); !c.full() {
			return nil
		}
		return next(c.take(), "")
	}
	if err := f.sweep(snap, add); err != nil {
		return err
	}
	if err := next(c.take(), ""); err != nil {
		return err
	}
	for r, err := range snap.Rows(nil, nil) {
		if err != nil {
			return err
		}
		if err := add(topology.Raw{Key: r.Key, Value: r.Value, Time: time.UnixMilli(r.Time)}); err != nil {
			return err
		}
	}
	if err := next(c.take(), goal.String()); err != nil {
		return err
	}
	f.place = goal
	return nil
}

// sweep deletes what the target holds of the partition and the table does not.
// It needs to know whose a key is.
func (f *follower) sweep(snap *store.Snapshot, remove func(topology.Raw) error) error {
	if strays, err := f.strays(f.ctx, 0); err != nil || strays {
		return err
	}
	for key, err := range f.sink.Keys(f.ctx, f.from.Table) {
		if err != nil {
			return err
		}
		if partitionOfRow(f.StateStore, key, f.partitions) != f.partition {
			continue
		}
		has, err := snap.Has(key)
		if err != nil {
			return err
		}
		if !has {
			if err := remove(topology.Raw{Key: key}); err != nil {
				return err
			}
		}
	}
	return nil
}
