package sinks

import (
	"strconv"
	"sync"

	"github.com/tidemark-dev/tidemark/topology"
)

// A step is the memory of one call of step.lua. It is used again, as a call of
// 1,000 rows has 2,000 arguments.
type step struct {
	args  []any
	parts []part // what args point to
	names []byte // the keys, one behind the other
}

// A part is a key or a value. A pointer to it is an argument that needs no
// memory of its own, as a slice or a string in an interface does.
type part []byte

// MarshalBinary is how the client reads an argument of a type of ours.
func (p *part) MarshalBinary() ([]byte, error) { return *p, nil }

var steps = sync.Pool{New: func() any { return new(step) }}

// fill returns the arguments of a batch, good until release.
func (s *step) fill(fence, prefix string, batch topology.Batch) []any {
	deletes, size := 0, 0
	for i := range batch.Rows {
		size += len(prefix) + len(batch.Rows[i].Key)
		if batch.Rows[i].Value == nil {
			deletes++
		}
	}
	// Grown at once: the parts point into names, the args into parts.
	s.names = grown(s.names, size)
	s.parts = grown(s.parts, 2*len(batch.Rows)-deletes)
	s.args = append(s.args[:0], "evalsha", stepScript.hash, 1, fence,
		strconv.FormatInt(batch.Epoch, 10), batch.From, batch.To, deletes)
	if deletes > 0 {
		for i := range batch.Rows {
			if row := &batch.Rows[i]; row.Value == nil {
				s.add(s.name(prefix, row.Key))
			}
		}
	}
	for i := range batch.Rows {
		if row := &batch.Rows[i]; row.Value != nil {
			s.add(s.name(prefix, row.Key))
			s.add(row.Value)
		}
	}
	return s.args
}

func (s *step) name(prefix string, key []byte) part {
	start := len(s.names)
	s.names = append(append(s.names, prefix...), key...)
	return s.names[start:]
}

func (s *step) add(p part) {
	s.parts = append(s.parts, p)
	s.args = append(s.args, &s.parts[len(s.parts)-1])
}

// release lets go of the rows, and of memory that only a very large batch needs.
func (s *step) release() {
	if cap(s.parts) > 64<<10 || cap(s.names) > 4<<20 {
		return
	}
	clear(s.parts)
	clear(s.args)
	steps.Put(s)
}

// grown returns an empty slice with room for n.
func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, 0, n)
	}
	return s[:0]
}
