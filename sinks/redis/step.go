package redis

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/tidemark-dev/tidemark/topology"
)

const (
	maxArgs = 1 << 20  // that Redis takes in one command
	maxStep = 64 << 20 // bytes of several rows: far below client-query-buffer-limit
)

// A step is the memory of one call of step.lua. It is used again, as a call of
// 1,000 rows has 2,000 arguments.
type step struct {
	args  []any
	parts []part // what args point to
	text  []byte // names and values, one behind the other
	size  int    // of all parts, as they are sent
	most  int    // of one part
}

// A part is a name or a value. A pointer to it is an argument that needs no
// memory of its own, as a slice or a string in an interface does.
type part []byte

// MarshalBinary is how the client reads an argument of a type of ours.
func (p *part) MarshalBinary() ([]byte, error) { return *p, nil }

var steps = sync.Pool{New: func() any { return new(step) }}

// fill makes the arguments of a batch, good until release. Bulk is the most bytes
// of a name or a value.
func (s *step) fill(l *layout, batch *topology.Batch, bulk int) error {
	deletes, size, rows := len(batch.Stale), 0, batch.Rows
	for i := range rows {
		size += len(l.prefix) + len(rows[i].Key)
		if rows[i].Value == nil {
			deletes++
		}
	}
	// Grown at once: the args point into parts. Text that grows is left where it was.
	s.text, s.size, s.most = grown(s.text, size), 0, 0
	s.parts = grown(s.parts, 3*len(rows)+2*len(batch.Stale))
	s.args = append(s.args[:0], "evalsha", stepScript.hash, 2, l.fence, l.owner)
	if l.index != "" {
		s.args[2] = 3
		s.args = append(s.args, l.index)
	}
	s.args = append(s.args, strconv.FormatInt(batch.Epoch, 10), batch.From, batch.To,
		l.from.Owner.Application, l.from.Owner.Cluster, l.from.Table, deletes)
	for _, name := range batch.Stale {
		s.add(name)
	}
	for i := range rows {
		if row := &rows[i]; row.Value == nil {
			if err := s.row(l, row, bulk); err != nil {
				return err
			}
		}
	}
	for i := range rows {
		if row := &rows[i]; row.Value != nil {
			if err := s.row(l, row, bulk); err != nil {
				return err
			}
		}
	}
	if l.index != "" {
		s.rowsOf(batch)
	}
	if n := len(rows) + len(batch.Stale); n > 1 && (s.size > maxStep || len(s.args) > maxArgs) {
		return fmt.Errorf("%w: %d rows in %d bytes", topology.ErrTooLarge, n, s.size)
	}
	return nil
}

// row adds the name and the value of a row.
func (s *step) row(l *layout, row *topology.Raw, bulk int) error {
	start := len(s.text)
	text, err := l.appendName(s.text, row.Key)
	if err != nil {
		return &topology.RowError{Key: row.Key, Err: fmt.Errorf("its key cannot be written: %w", err)}
	}
	s.text = text
	s.add(s.text[start:])
	if len(s.text)-start > bulk {
		return &topology.RowError{Key: row.Key, Err: oversized("name", len(s.text)-start)}
	}
	if row.Value == nil {
		return nil
	}
	value := row.Value
	if l.value != nil {
		start = len(s.text)
		if text, err = l.value(s.text, value); err != nil {
			return &topology.RowError{Key: row.Key, Err: fmt.Errorf("its value cannot be written: %w", err)}
		}
		s.text = text
		value = s.text[start:]
	}
	if len(value) > bulk {
		return &topology.RowError{Key: row.Key, Err: oversized("value", len(value))}
	}
	s.add(value)
	return nil
}

func oversized(what string, size int) error {
	return fmt.Errorf("its %s has %d bytes, which is more than the server takes: raise its proto-max-bulk-len", what, size)
}

// rowsOf adds whose each name is.
func (s *step) rowsOf(batch *topology.Batch) {
	for range batch.Stale {
		s.add(nil)
	}
	for _, deleted := range []bool{true, false} {
		for i := range batch.Rows {
			if row := &batch.Rows[i]; (row.Value == nil) == deleted {
				start := len(s.text)
				s.text = append(append(s.text, '='), row.Key...)
				s.add(s.text[start:])
			}
		}
	}
}

func (s *step) add(p part) {
	s.size += len(p)
	s.most = max(s.most, len(p))
	s.parts = append(s.parts, p)
	s.args = append(s.args, &s.parts[len(s.parts)-1])
}

// release lets go of the rows, and of memory that only a very large batch needs.
func (s *step) release() {
	if cap(s.parts) > 64<<10 || cap(s.text) > 4<<20 {
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
