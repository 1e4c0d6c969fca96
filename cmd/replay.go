package cmd

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"sort"

	"github.com/tidemark-dev/tidemark/topology"
)

// canReplay reports whether a group's records, taken again one partition after
// the other, must give the same rows: it reads one topic, which no group writes,
// and looks at nothing else. Records of several topics may be taken in another order.
func (d *demo) canReplay(g *topology.Group) bool {
	return len(g.Inputs) == 1 && len(g.Globals) == 0 && d.fromOutside(g.Inputs[0])
}

// fromOutside reports whether no group writes a topic.
func (d *demo) fromOutside(topic string) bool {
	return slices.Contains(outside(d.topology), topic) &&
		!slices.ContainsFunc(d.topology.Groups(), func(g *topology.Group) bool { return slices.Contains(g.Outputs, topic) })
}

// replay runs a group's input through its tasks, and returns the rows that they
// make, as text by store. It returns nil for a group that looks at the time of day.
func (d *demo) replay(ctx context.Context, g *topology.Group) (map[string]texts, error) {
	partitions, err := d.client.Partitions(g.Inputs[0])
	if err != nil {
		return nil, err
	}
	found := map[string]texts{}
	for i := range g.Stores {
		found[g.Stores[i].Name] = texts{}
	}
	for _, partition := range partitions {
		stores := map[string]*memory{}
		for i := range g.Stores {
			stores[g.Stores[i].Name] = &memory{deadline: g.Stores[i].Deadline}
		}
		task, err := g.NewTask(partition, func(store string) topology.Rows { return stores[store] }, "", d.settings.processor(d.topology, d.stderr).Policies)
		if err != nil {
			return nil, err
		}
		if _, timed := task.NextAdvance(); timed {
			return nil, nil
		}
		err = readPartition(ctx, d.client, g.Inputs[0], partition, func(r topology.Raw) error {
			writes, err := task.Process(r)
			if _, ok := errors.AsType[*topology.RecordError](err); ok {
				return nil // the policy has let it pass, or the processor would have stopped
			}
			for _, row := range writes.Rows {
				stores[row.Store].put(row)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		for i := range g.Stores {
			s := &g.Stores[i]
			for _, row := range stores[s.Name].rows {
				if !s.Table {
					break
				}
				if err := d.text(found[s.Name], s.Name, row.Key, row.Value); err != nil {
					return nil, err
				}
			}
		}
	}
	return found, nil
}

// A memory holds the rows of one store for a replay, in the order of their keys.
type memory struct {
	rows     []topology.Row
	deadline func(key, value []byte, time int64) int64
}

func (m *memory) find(key []byte) (int, bool) {
	return sort.Find(len(m.rows), func(i int) int { return bytes.Compare(key, m.rows[i].Key) })
}

// put keeps a copy of a row, or deletes it.
func (m *memory) put(row topology.Row) {
	i, found := m.find(row.Key)
	if row.Value == nil {
		if found {
			m.rows = slices.Delete(m.rows, i, i+1)
		}
		return
	}
	row.Key, row.Value = bytes.Clone(row.Key), append([]byte{}, row.Value...)
	if !found {
		m.rows = slices.Insert(m.rows, i, topology.Row{})
	}
	m.rows[i] = row
}

func (m *memory) Get(key []byte) (value []byte, time int64, err error) {
	i, found := m.find(key)
	if !found {
		return nil, 0, nil
	}
	return m.rows[i].Value, m.rows[i].Time, nil
}

func (m *memory) Scan(from, to []byte) iter.Seq2[topology.Row, error] {
	i, _ := m.find(from)
	j := len(m.rows)
	if to != nil {
		j, _ = m.find(to)
	}
	return all(m.rows[i:max(i, j)])
}

func (m *memory) Due() iter.Seq2[topology.Row, error] {
	at := func(r topology.Row) int64 { return m.deadline(r.Key, r.Value, r.Time) }
	due := slices.Clone(m.rows)
	slices.SortStableFunc(due, func(x, y topology.Row) int { return cmp.Compare(at(x), at(y)) })
	return all(due)
}

func all(rows []topology.Row) iter.Seq2[topology.Row, error] {
	return func(yield func(topology.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}
