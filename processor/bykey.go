package processor

import (
	"bytes"
	"iter"
	"slices"

	"github.com/tidemark-dev/tidemark/topology"
)

// byKey yields by key what several parts yield, each by key. An error of one ends
// it. One row of each part is held.
func byKey(parts []iter.Seq2[topology.Raw, error]) iter.Seq2[topology.Raw, error] {
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
