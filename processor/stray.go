package processor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tidemark-dev/tidemark/topology"
)

// Rows lie in the partition of their records. Where the inputs of a group are not
// partitioned by murmur2 of the key, as Java does it, a row may be in any
// partition: it strays. Every instance has to know that, or it would say that a
// row is absent which lies elsewhere. So a task that has seen such a key says it
// in the metadata of its committed offsets, in the transaction of the row itself.

const strayMark = "tidemark-stray"

// A roll call is when Kafka was asked last, and knew of no key that strays. Its
// lock is held while it is asked.
type rollCall struct {
	sync.Mutex
	asked time.Time
}

// noteStray notes that keys of the group stray, from now on. It tells whether
// that is news to this process.
func (m *member) noteStray() bool { return !m.strayed.Swap(true) }

// strays tells whether keys of the group are known to stray: it asks Kafka what
// the tasks of all instances have noted. Those who ask at once share one answer,
// which is of a time after each of them has asked.
func (m *member) strays(ctx context.Context) (bool, error) {
	if m.strayed.Load() {
		return true, nil
	}
	came := time.Now()
	m.called.Lock()
	defer m.called.Unlock()
	if m.strayed.Load() || m.called.asked.After(came) {
		return m.strayed.Load(), nil
	}
	now, inputs := time.Now(), map[string][]int32{}
	for _, topic := range m.group.Inputs {
		for p := range m.topics.partitions[topic] {
			inputs[topic] = append(inputs[topic], p)
		}
	}
	all, err := committedOffsets(ctx, m.client, m.group.Name, inputs, false)
	if err != nil {
		return false, fmt.Errorf("%w: whether the key can be in another partition: %w", ErrRestoring, err)
	}
	for _, c := range all {
		if c.strays {
			m.noteStray()
		}
	}
	m.called.asked = now
	return m.strayed.Load(), nil
}

// strays tells whether a row of a table can be in any partition.
func (p *Processor) strays(ctx context.Context, table string) (bool, error) {
	if p.global(table) != nil {
		return false, nil
	}
	k, err := p.keeper(table)
	if err != nil {
		return false, err
	}
	return k.strays(ctx)
}

// anywhere returns a row from whichever of this instance's partitions it is in,
// with a nil value if it is in none.
func (p *Processor) anywhere(_ context.Context, table string, key []byte) (topology.Raw, error) {
	k, err := p.keeper(table)
	if err != nil {
		return topology.Raw{}, err
	}
	for _, part := range k.parts() {
		r, err := part.row(topology.Raw{Key: key, Position: topology.Position{Topic: k.Changelog, Partition: part.partition}})
		if err != nil || r.Value != nil {
			return r, err
		}
	}
	return topology.Raw{Key: key, Position: topology.Position{Topic: k.Changelog}}, nil
}
