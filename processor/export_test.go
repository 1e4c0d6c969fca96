package processor

import (
	"context"
	"iter"
	"slices"

	"github.com/tidemark-dev/tidemark/topology"
)

// OnStep has f called after each numbered step of every commit, by the
// goroutine that commits: groups have one each. It is set before Run.
func (p *Processor) OnStep(f func(step int)) { p.onStep = f }

// Rows yields the committed rows of this instance's partitions.
func (p *Processor) Rows(ctx context.Context, store string) iter.Seq2[topology.Raw, error] {
	return p.rows(ctx, store, nil, nil)
}

// Purge does once what is else done every 30 seconds.
func (p *Processor) Purge() error {
	return (&purger{processor: p, done: map[topology.Position]int64{}}).once(context.Background())
}

// ClassNames returns the names of all classes, sorted.
func ClassNames() []string { return slices.Sorted(slices.Values(classNames[:])) }

// Classify returns the name of an error's class, and the cure.
func Classify(err error) (string, string) {
	class, cure := classify(err)
	return class.String(), cure
}

// TableNotes are what the committed offsets of a cluster's group say of tables that
// they do not have.
func TableNotes(cluster, group string) string {
	return *marks{tables: tableNotes{Cluster: digestOf(cluster), Group: digestOf(group)}.String()}.metadata()
}
