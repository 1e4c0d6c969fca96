package sinktest

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/topology"
)

// A memory is a sink to a target: the contract in its smallest form. A real sink
// does what stands between Lock and Unlock in one transaction.
type memory struct {
	*target
	key func(key []byte) (string, error) // nil for that of the format
}

type target struct {
	mu      sync.Mutex
	owners  map[string]topology.Owner // by table
	places  map[string]topology.Place // by partition, as Source.String names it
	formats map[string]bool           // whether rows are text, by partition
	rows    map[string]map[string]named
}

// A named row is kept by table and name.
type named struct {
	key   string
	value []byte
}

const memoryLimit = 1 << 20

func (m *memory) String() string { return "memory" }

func (m *memory) Open(_ context.Context, from topology.Source, epoch int64) (topology.Place, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.foreign(from); err != nil {
		return topology.Place{}, err
	}
	place := m.places[from.String()]
	if epoch == 0 {
		epoch = max(place.Epoch+1, time.Now().UnixMilli())
	}
	if epoch < place.Epoch {
		return topology.Place{}, topology.ErrFenced
	}
	if m.formats[from.String()] != (from.Format != nil) {
		place.Position = ""
	}
	place.Epoch = epoch
	m.owners[from.Table], m.places[from.String()], m.formats[from.String()] = from.Owner, place, from.Format != nil
	return place, nil
}

func (m *memory) foreign(from topology.Source) error {
	if owner, ok := m.owners[from.Table]; ok && owner != from.Owner {
		return fmt.Errorf("%w: it is of %s, not of %s", topology.ErrForeign, owner, from.Owner)
	}
	return nil
}

func (m *memory) Apply(ctx context.Context, batch topology.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch place := m.places[batch.String()]; {
	case ctx.Err() != nil:
		return ctx.Err()
	case m.foreign(batch.Source) != nil:
		return m.foreign(batch.Source)
	case place.Epoch > batch.Epoch:
		return topology.ErrFenced
	case place.Epoch == batch.Epoch && place.Position == batch.From:
		if err := m.write(batch); err != nil {
			return err
		}
		m.places[batch.String()] = topology.Place{Epoch: batch.Epoch, Position: batch.To}
		return nil
	case place.Epoch == batch.Epoch && place.Position == batch.To:
		return topology.ErrDuplicate
	default:
		return topology.ErrGap
	}
}

// write writes all rows or none.
func (m *memory) write(batch topology.Batch) error {
	rows := maps.Clone(m.rows[batch.Table])
	if rows == nil {
		rows = map[string]named{}
	}
	for _, name := range batch.Stale {
		delete(rows, string(name))
	}
	for _, deletes := range []bool{true, false} {
		for _, row := range batch.Rows {
			if (row.Value == nil) != deletes {
				continue
			}
			if err := m.writeRow(rows, batch.Format, row); err != nil {
				return &topology.RowError{Key: row.Key, Err: err}
			}
		}
	}
	m.rows[batch.Table] = rows
	return nil
}

func (m *memory) writeRow(rows map[string]named, format *topology.Format, row topology.Raw) error {
	name, err := m.name(format, row.Key)
	if err != nil {
		return err
	}
	has, ok := rows[name]
	switch {
	case row.Value == nil && has.key == string(row.Key):
		delete(rows, name)
		return nil
	case row.Value == nil:
		return nil
	case ok && has.key != string(row.Key):
		return fmt.Errorf("name %q is that of the row %q too", name, has.key)
	case len(row.Value) > memoryLimit:
		return fmt.Errorf("it has %d bytes", len(row.Value))
	}
	value := append([]byte{}, row.Value...)
	if format != nil && format.Value != nil {
		if value, err = format.Value(nil, row.Value); err != nil {
			return err
		}
	}
	rows[name] = named{string(row.Key), value}
	return nil
}

func (m *memory) name(format *topology.Format, key []byte) (string, error) {
	switch {
	case m.key != nil:
		return m.key(key)
	case format != nil && format.Key != nil:
		text, err := format.Key(nil, key)
		return string(text), err
	}
	return string(key), nil
}

func (m *memory) Keys(_ context.Context, of topology.Source) iter.Seq2[topology.Held, error] {
	m.mu.Lock()
	defer m.mu.Unlock()
	return listed(m.held(of))
}

func (m *memory) held(of topology.Source) (all []topology.Held) {
	for name, row := range m.rows[of.Table] {
		held := topology.Held{Name: []byte(name)}
		if now, err := m.name(of.Format, []byte(row.key)); err == nil && now == name {
			held.Key = []byte(row.key)
		}
		all = append(all, held)
	}
	return all
}

func listed(all []topology.Held) iter.Seq2[topology.Held, error] {
	return func(yield func(topology.Held, error) bool) {
		for _, held := range all {
			if !yield(held, nil) {
				return
			}
		}
	}
}

func (m *memory) row(_ *testing.T, table string, name []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.rows[table][string(name)].value)
}

func (m *memory) lose(*testing.T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owners, m.places, m.formats = map[string]topology.Owner{}, map[string]topology.Place{}, map[string]bool{}
	m.rows = map[string]map[string]named{}
}

func newMemory(t *testing.T) *memory {
	m := &memory{target: &target{}}
	m.lose(t)
	return m
}

func TestMemory(t *testing.T) {
	m := newMemory(t)
	Run(t, Target{
		New:   func(*testing.T) topology.Sink { return m },
		Get:   m.row,
		Lose:  m.lose,
		Keyed: func(_ *testing.T, key func([]byte) (string, error)) topology.Sink { return &memory{m.target, key} },
		Limit: memoryLimit,
	})
}

// A target that keeps bytes passes without what is about text.
func TestMemoryOfBytes(t *testing.T) {
	m := newMemory(t)
	bytesOnly := &faulty{memory: m, name: "bytes"}
	bytesOnly.open = func(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
		from.Format = nil
		return m.Open(ctx, from, epoch)
	}
	Run(t, Target{New: func(*testing.T) topology.Sink { return bytesOnly }, Get: m.row, Bytes: true})
	if !slices.ContainsFunc(checks, func(c check) bool { return c.text }) {
		t.Error("nothing is about text")
	}
}
