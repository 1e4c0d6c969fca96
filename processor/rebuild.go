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
	case offset < f.gone:
		return place{}, fmt.Errorf("the target is at %d, and the changelog does not begin there any more", offset)
	case offset < end && time.Since(p.at) > retention:
		return place{}, fmt.Errorf("the target was left %v ago, and the changelog keeps tombstones for %v", time.Since(p.at).Round(time.Second), retention)
	}
	return p, nil
}

// A rebuild is one on its way: steps from the position at which the target was
// found to the goal, which only the last one reaches.
type rebuild struct {
	*follower
	position string
	goal     place
	steps    int
}

// rebuild writes the table as it is now, and first deletes what is not in it.
// It takes the rows from the table and not from the changelog, where a key's
// older values may still stand, and the target would show them.
func (f *follower) rebuild(position string) error {
	snap, err := f.store.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	if snap.Position < f.tried {
		return fmt.Errorf("table is at %d, target may be at %d", snap.Position, f.tried) // not yet saved
	}
	r := &rebuild{follower: f, position: position, goal: place{f.source, snap.Position, time.Now()}}
	if err := r.write(nil, nil, false); err != nil {
		return err
	}
	f.tried = max(f.tried, snap.Position)
	c := &f.rows
	defer c.reset()
	if err := r.sweep(snap); err != nil {
		return err
	}
	for row, err := range snap.Rows(nil, nil) {
		if err != nil {
			return err
		}
		if err := r.add(topology.Raw{Key: row.Key, Value: row.Value, Time: time.UnixMilli(row.Time)}); err != nil {
			return err
		}
	}
	if err := r.write(c.take(), nil, true); err != nil {
		return err
	}
	f.place = r.goal
	return nil
}

// add writes a row, with others.
func (r *rebuild) add(row topology.Raw) error {
	c := &r.rows
	if !c.fits(row) {
		if err := r.write(c.take(), nil, false); err != nil {
			return err
		}
	}
	if c.add(row); !c.full() {
		return nil
	}
	return r.write(c.take(), nil, false)
}

// write makes a step, in several if it is too large for the sink.
func (r *rebuild) write(rows []topology.Raw, stale [][]byte, last bool) error {
	to := r.goal.String()
	if !last {
		to += "+" + strconv.Itoa(r.steps)
	}
	err := r.apply(r.position, to, rows, stale)
	if n, m := len(rows)/2, len(stale)/2; errors.Is(err, topology.ErrTooLarge) && n+m > 0 {
		if err := r.write(rows[:n], stale[:m], false); err != nil {
			return err
		}
		return r.write(rows[n:], stale[m:], last)
	}
	if err == nil {
		r.position = to
		r.steps++
	}
	return err
}

// sweep deletes what the target holds of the partition and the table does not, and
// what is no row of the table at all. It needs to know whose a key is.
func (r *rebuild) sweep(snap *store.Snapshot) error {
	stray, err := r.strays(r.ctx)
	if err != nil {
		return err
	}
	var stale [][]byte
	for held, err := range r.sink.Keys(r.ctx, r.from) {
		if err != nil {
			return err
		}
		if held.Key == nil {
			if stale = append(stale, held.Name); len(stale) < stepRows {
				continue
			}
			if err := r.write(nil, stale, false); err != nil {
				return err
			}
			stale = nil
			continue
		}
		if stray || partitionOfRow(r.StateStore, held.Key, r.partitions) != r.partition {
			continue
		}
		has, err := snap.Has(held.Key)
		if err != nil {
			return err
		}
		if !has {
			if err := r.add(topology.Raw{Key: held.Key}); err != nil {
				return err
			}
		}
	}
	if len(stale) > 0 {
		if err := r.write(nil, stale, false); err != nil {
			return err
		}
	}
	return r.write(r.rows.take(), nil, false)
}
