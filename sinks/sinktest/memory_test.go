package sinktest

import (
	"bytes"
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/topology"
)

// A memory is a target and the sink to it: the contract in its smallest form. A
// real target does what stands between Lock and Unlock in one transaction.
type memory struct {
	mu     sync.Mutex
	places map[topology.Source]topology.Place
	rows   map[string]map[string][]byte // by table and key
}

func (m *memory) String() string { return "memory" }

func (m *memory) Open(_ context.Context, from topology.Source, epoch int64) (topology.Place, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	place := m.places[from]
	if epoch == 0 {
		epoch = max(place.Epoch+1, time.Now().UnixMilli())
	}
	if epoch < place.Epoch {
		return topology.Place{}, topology.ErrFenced
	}
	place.Epoch = epoch
	m.places[from] = place
	return place, nil
}

func (m *memory) Apply(ctx context.Context, batch topology.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch place := m.places[batch.Source]; {
	case ctx.Err() != nil:
		return ctx.Err()
	case place.Epoch > batch.Epoch:
		return topology.ErrFenced
	case place.Epoch == batch.Epoch && place.Position == batch.From:
		m.write(batch)
		m.places[batch.Source] = topology.Place{Epoch: batch.Epoch, Position: batch.To}
		return nil
	case place.Epoch == batch.Epoch && place.Position == batch.To:
		return topology.ErrDuplicate
	default:
		return topology.ErrGap
	}
}

func (m *memory) write(batch topology.Batch) {
	if m.rows[batch.Table] == nil {
		m.rows[batch.Table] = map[string][]byte{}
	}
	for _, row := range batch.Rows {
		if row.Value == nil {
			delete(m.rows[batch.Table], string(row.Key))
		} else {
			m.rows[batch.Table][string(row.Key)] = append([]byte{}, row.Value...)
		}
	}
}

func (m *memory) Keys(_ context.Context, table string) iter.Seq2[[]byte, error] {
	m.mu.Lock()
	keys := slices.Collect(maps.Keys(m.rows[table]))
	m.mu.Unlock()
	return func(yield func([]byte, error) bool) {
		for _, key := range keys {
			if !yield([]byte(key), nil) {
				return
			}
		}
	}
}

func (m *memory) row(_ *testing.T, table string, key []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.rows[table][string(key)])
}

func (m *memory) lose(*testing.T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.places = map[topology.Source]topology.Place{}
	m.rows = map[string]map[string][]byte{}
}

func newMemory(t *testing.T) *memory {
	m := &memory{}
	m.lose(t)
	return m
}

func TestMemory(t *testing.T) {
	m := newMemory(t)
	Run(t, Target{
		New:  func(*testing.T) topology.Sink { return m },
		Get:  m.row,
		Lose: m.lose,
	})
}
