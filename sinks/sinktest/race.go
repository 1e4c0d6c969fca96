package sinktest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemark-dev/tidemark/topology"
)

// raceChecks are about what happens at once, or is cut off.
var raceChecks = []check{
	{sentence: "partitions are written at once through one handle", run: func(tr *trial) {
		const partitions, count = 16, 25
		sink := tr.sink()
		var wg sync.WaitGroup
		for p := range int32(partitions) {
			wg.Go(func() {
				o := tr.newcomer(tr.table, p, sink)
				o.opens(0, nil)
				key := fmt.Sprintf("row of %d", p)
				for i := range count {
					o.steps(strconv.Itoa(i), row(key, fmt.Sprintf("%d of %d", i, p)), row(fmt.Sprintf("%s, %d", key, i), "x"))
				}
				tr.finds(key, fmt.Sprintf("%d of %d", count-1, p))
			})
		}
		wg.Wait()
		for p := range int32(partitions) {
			tr.owner(p).at(strconv.Itoa(count - 1))
		}
	}},

	{sentence: "a reader never sees half a step", run: func(tr *trial) {
		o := tr.owner(0)
		step := func(i int) {
			value := strconv.Itoa(i)
			o.steps(value, row("a", value), row("b", value), row("c", value))
		}
		step(0)
		// Read one after the other, a later row may be newer and never older.
		var done atomic.Bool
		var wg sync.WaitGroup
		for _, keys := range [][2]string{{"a", "c"}, {"c", "a"}, {"b", "a"}} {
			wg.Go(func() {
				for !done.Load() && tr.failed() == nil {
					first, second := tr.number(keys[0]), tr.number(keys[1])
					if second < first {
						tr.failf("a reader found %d in row %q and then %d in row %q of the same steps", first, keys[0], second, keys[1])
					}
				}
			})
		}
		for i := 1; i <= 200; i++ {
			step(i)
		}
		done.Store(true)
		wg.Wait()
	}},

	{sentence: "no value goes back when a new owner comes in the middle", run: func(tr *trial) {
		first := tr.owner(0)
		first.steps("0", row("a", "0"))
		var replaced atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() { // it goes on until it is told
			for i := 1; tr.failed() == nil; i++ {
				to, late := strconv.Itoa(i), replaced.Load()
				err := first.apply(tr.t.Context(), first.place.Position, to, row("a", to))
				switch {
				case errors.Is(err, topology.ErrFenced):
					return
				case err != nil:
					tr.failf("the first owner's step to %q: %w", to, err)
				case late:
					tr.failf("the first owner's step to %q was taken after one of the second owner", to)
				}
				first.place.Position = to
			}
		})
		time.Sleep(5 * time.Millisecond) // wherever the first one gets is right
		second := tr.owner(0)
		tr.finds("a", second.place.Position)
		second.steps("second", row("a", "second"))
		replaced.Store(true)
		wg.Wait()
		tr.finds("a", "second")
	}},

	{sentence: "a call that was cut off has happened or not, and can be made again", run: func(tr *trial) {
		const rows = 500
		o := tr.owner(0)
		for i := range 60 {
			value := strconv.Itoa(i)
			batch := make([]topology.Raw, rows)
			for j := range batch {
				batch[j] = row(strconv.Itoa(j), value)
			}
			from := o.place.Position
			cut(tr.t.Context(), i, func(ctx context.Context) {
				// An error says nothing of what has happened, success does.
				if err := o.apply(ctx, from, value, batch...); err == nil {
					o.tries(from, value, topology.ErrDuplicate, batch...)
				}
			})
			if tr.failed() != nil {
				return
			}
			if err := o.apply(tr.t.Context(), from, value, batch...); err != nil && !errors.Is(err, topology.ErrDuplicate) {
				tr.failf("the step to %q was cut off and made again: %w", value, err)
			}
			o.place.Position = value
			tr.finds("0", value)
			tr.finds(strconv.Itoa(rows-1), value)
		}
		tr.owner(0).at("59")
	}},

	{sentence: "a step that was cut off is there as a whole or not at all", run: func(tr *trial) {
		o := tr.owner(0)
		o.steps("old", row("first", "old"), row("last", "old"))
		for i := range 40 {
			to := strconv.Itoa(i)
			rows := []topology.Raw{row("first", to)}
			for j := range 500 {
				rows = append(rows, row("between "+strconv.Itoa(j), to))
			}
			rows = append(rows, row("last", to))
			from := o.place.Position
			cut(tr.t.Context(), i, func(ctx context.Context) { _ = o.apply(ctx, from, to, rows...) })
			// What is still on its way is fenced by a new owner.
			o = tr.owner(0)
			if at := o.place.Position; at != to && at != from {
				tr.failf("after a step from %q to %q the position is %q", from, to, at)
			}
			tr.finds("first", o.place.Position)
			tr.finds("last", o.place.Position)
		}
	}},
}

// cut calls f with a context that ends at once, or in the middle of what f does.
func cut(ctx context.Context, i int, f func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(i)*50*time.Microsecond)
	defer cancel()
	if i%2 == 0 {
		time.AfterFunc(time.Duration(i)*25*time.Microsecond, cancel)
	}
	f(ctx)
}

func (tr *trial) number(key string) int {
	value := tr.target.Get(tr.t, tr.table, []byte(key))
	n, err := strconv.Atoi(string(value))
	if err != nil {
		tr.failf("row %q is %q, want a number", key, value)
	}
	return n
}
