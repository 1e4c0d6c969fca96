package follow

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/topology"
)

// A rebuild fills a target from the table: steps from the position at which the
// target was found to the goal, which only the last step reaches.
type rebuild struct {
	follower *Follower
	snap     *store.Snapshot
	position string
	goal     position
	steps    int
}

// rebuild writes the table as it is now, and first deletes what is not in it. It
// takes the rows from the table and not from the changelog, where older values of a
// key may still be, which the target would show.
func (f *Follower) rebuild(found string) error {
	snap, err := f.config.Table.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	if snap.Position < f.tried {
		return fmt.Errorf("table is at %d, target may be at %d", snap.Position, f.tried) // not yet saved
	}
	defer f.rows.reset()
	r := &rebuild{follower: f, snap: snap, position: found, goal: position{f.source, snap.Position, time.Now()}}
	if err := r.write(nil, nil, false); err != nil {
		return err
	}
	f.tried = max(f.tried, snap.Position)
	if err := r.sweep(); err != nil {
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
	if err := r.write(f.rows.take(), nil, true); err != nil {
		return err
	}
	f.at = r.goal
	return nil
}

// add writes a row, together with others.
func (r *rebuild) add(row topology.Raw) error {
	c := &r.follower.rows
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

// write makes a step, or several if one is too large for the sink.
func (r *rebuild) write(rows []topology.Raw, stale [][]byte, last bool) error {
	to := r.goal.String()
	if !last {
		to += "+" + strconv.Itoa(r.steps)
	}
	err := r.follower.apply(r.position, to, rows, stale)
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
// names that are no row of the table at all. Where rows stray it deletes only the
// latter: it cannot tell which partition another row is of.
func (r *rebuild) sweep() error {
	f := r.follower
	strays, err := f.config.Table.Strays(f.ctx)
	if err != nil {
		return err
	}
	var stale [][]byte
	for held, err := range f.config.Sink.Keys(f.ctx, f.config.From) {
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
		if strays || !f.config.Table.Belongs(held.Key) {
			continue
		}
		has, err := r.snap.Has(held.Key)
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
	return r.write(f.rows.take(), nil, false)
}
