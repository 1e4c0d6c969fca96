package topologytest

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"sort"

	"github.com/tidemark-dev/tidemark/topology"
)

// A changelog holds what the changelog topic of one store and task would, after
// compaction: the last row of each key.
type changelog map[string]topology.Row

func (c changelog) append(row topology.Row) {
	if row.Value == nil {
		delete(c, string(row.Key))
		return
	}
	row.Key, row.Value = bytes.Clone(row.Key), append([]byte{}, row.Value...)
	c[string(row.Key)] = row
}

// restored returns a store as it is after a restart without a disk.
func (c changelog) restored(state topology.StateStore) *store {
	s := &store{state: state}
	for _, row := range c {
		s.put(row)
	}
	return s
}

// A store holds the rows of one store and task in the order of their keys.
type store struct {
	state topology.StateStore
	rows  []topology.Row
}

func (s *store) find(key []byte) (int, bool) {
	return sort.Find(len(s.rows), func(i int) int { return bytes.Compare(key, s.rows[i].Key) })
}

// put keeps a copy of a row, or deletes it.
func (s *store) put(row topology.Row) {
	i, found := s.find(row.Key)
	switch {
	case row.Value == nil && found:
		s.rows = slices.Delete(s.rows, i, i+1)
	case row.Value == nil:
	default:
		row.Key, row.Value = bytes.Clone(row.Key), append([]byte{}, row.Value...)
		if found {
			s.rows[i] = row
		} else {
			s.rows = slices.Insert(s.rows, i, row)
		}
	}
}

func (s *store) Get(key []byte) (value []byte, time int64, err error) {
	if i, found := s.find(key); found {
		return s.rows[i].Value, s.rows[i].Time, nil
	}
	return nil, 0, nil
}

func (s *store) Scan(from, to []byte) iter.Seq2[topology.Row, error] {
	i, _ := s.find(from)
	j := len(s.rows)
	if to != nil {
		j, _ = s.find(to)
	}
	return all(s.rows[i:max(i, j)])
}

func (s *store) Due() iter.Seq2[topology.Row, error] {
	deadline := func(r topology.Row) int64 { return s.state.Deadline(r.Key, r.Value, r.Time) }
	due := slices.Clone(s.rows)
	slices.SortStableFunc(due, func(a, b topology.Row) int { return cmp.Compare(deadline(a), deadline(b)) })
	return all(due)
}

func all(rows []topology.Row) iter.Seq2[topology.Row, error] {
	rows = slices.Clone(rows)
	return func(yield func(topology.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}
