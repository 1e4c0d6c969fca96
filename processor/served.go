package processor

import (
	"context"
	"iter"
	"slices"

	"github.com/tidemark-dev/tidemark/topology"
)

// served is a Processor as its handler and its views see it.
type served struct{ processor *Processor }

func (s served) Status() any       { return s.processor.Status() }
func (s served) Health() health    { return s.processor.Status().health() }
func (s served) Metrics() []metric { return s.processor.Status().metrics() }

func (s served) Tables() []table {
	return s.processor.Status().tables(s.processor.topology)
}

func (s served) Row(ctx context.Context, table string, key []byte) (topology.Raw, error) {
	return s.processor.row(ctx, table, key)
}

func (s served) Rows(ctx context.Context, table string, from, to []byte) iter.Seq2[topology.Raw, error] {
	return s.processor.rows(ctx, table, from, to)
}

func (s served) Changes(ctx context.Context, table string) iter.Seq2[topology.Raw, error] {
	return s.processor.changes(ctx, table)
}

func (s served) Owners(ctx context.Context, table string) ([]string, error) {
	return s.processor.owners(ctx, table)
}

func (s served) Strays(ctx context.Context, table string) (bool, error) {
	return s.processor.strays(ctx, table)
}

func (s served) Anywhere(ctx context.Context, table string, key []byte) (topology.Raw, error) {
	return s.processor.anywhere(ctx, table, key)
}

// health sums a status up.
func (s Status) health() health {
	h := health{
		State: s.State.String(), Ready: s.State == Running, Ended: s.State == Stopped || s.State == Failed,
		Err: s.Err, Waiting: s.Waiting,
	}
	for _, t := range s.Tasks {
		h.Restore += t.Restore
	}
	for _, g := range s.Globals {
		h.Restore += g.Restore
	}
	return h
}

// tables says what of each table of a topology is here.
func (s Status) tables(topo *topology.Topology) []table {
	changelogs := map[string]string{}
	for _, g := range topo.Groups() {
		for _, kept := range g.Stores {
			changelogs[kept.Name] = kept.Changelog
		}
	}
	list := []table{}
	for _, name := range topo.Stores() {
		t := table{Name: name, Topic: changelogs[name], State: s.State.String(), Partitions: []int32{}}
		for _, task := range s.Tasks {
			if task.Table == name {
				t.Partitions = append(t.Partitions, task.Partition)
				t.Restore += task.Restore
			}
		}
		for _, g := range s.Globals {
			if g.Table == name {
				t.Topic, t.State, t.Restore = g.Topic, g.State.String(), g.Restore
				for p := range g.Partitions {
					t.Partitions = append(t.Partitions, p)
				}
			}
		}
		slices.Sort(t.Partitions)
		list = append(list, t)
	}
	return list
}
