// Package rows merges the rows of several partitions or instances into one stream.
package rows

import (
	"bytes"
	"context"
	"iter"
	"slices"

	"github.com/tidemark-dev/tidemark/topology"
)

// ByKey yields by key what several parts yield, each by key. An error of one ends
// it. One row of each part is held.
func ByKey(parts []iter.Seq2[topology.Raw, error]) iter.Seq2[topology.Raw, error] {
	if len(parts) == 1 {
		return parts[0]
	}
	return func(yield func(topology.Raw, error) bool) {
		type head struct {
			row  topology.Raw
			next func() (topology.Raw, error, bool)
		}
		compare := func(a, b head) int { return bytes.Compare(a.row.Key, b.row.Key) }
		var heads []head // by key
		insert := func(h head) bool {
			row, err, ok := h.next()
			switch {
			case !ok:
				return true
			case err != nil:
				yield(topology.Raw{}, err)
				return false
			}
			h.row = row
			i, _ := slices.BinarySearchFunc(heads, h, compare)
			heads = slices.Insert(heads, i, h)
			return true
		}
		for _, part := range parts {
			next, stop := iter.Pull2(part)
			defer stop()
			if !insert(head{next: next}) {
				return
			}
		}
		for len(heads) > 0 {
			first := heads[0]
			heads = slices.Delete(heads, 0, 1)
			if !yield(first.row, nil) || !insert(first) {
				return
			}
		}
	}
}

// AsTheyCome yields what several parts yield, in the order of its arrival, until one
// of them ends or ctx is done. Each part is read by a goroutine of its own, which ends
// soon after AsTheyCome does: the context that the parts are made with is done then.
// AsTheyCome does not wait for that, because a part may be waiting for a broker.
func AsTheyCome(ctx context.Context, made func(context.Context) []iter.Seq2[topology.Raw, error]) iter.Seq2[topology.Raw, error] {
	type next struct {
		row topology.Raw
		err error
	}
	return func(yield func(topology.Raw, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		parts := made(ctx)
		rows, ended := make(chan next), make(chan struct{}, len(parts))
		for _, part := range parts {
			go func() {
				defer func() { ended <- struct{}{} }()
				for row, err := range part {
					select {
					case rows <- next{row, err}:
					case <-ctx.Done():
						return
					}
				}
			}()
		}
		for {
			select {
			case n := <-rows:
				if n.err != nil && ctx.Err() != nil {
					return // a part that ends because ctx is done is no error
				}
				if !yield(n.row, n.err) || n.err != nil {
					return
				}
			case <-ended:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}
