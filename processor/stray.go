package processor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tidemark-dev/tidemark/topology"
)

// A row is in the partition of its records. If the inputs of a group are not
// partitioned by murmur2 of the key, as Java does it, a row may be in any partition:
// it strays. Every instance must know that, or it would answer that a row is absent
// when it is in another partition. So a task that sees such a key notes it in the
// metadata of its committed offsets, in the transaction of the row.

const strayMark = "tidemark-stray"

// A rollCall remembers when Kafka was last asked for keys that stray, and knew of
// none. Its lock is held while Kafka is asked.
type rollCall struct {
	sync.Mutex
	asked time.Time
}

// noteStray notes that keys of the group stray, and tells whether this process did
// not know it before.
func (m *member) noteStray() bool { return !m.strayed.Swap(true) }

// strays tells whether keys of the group are known to stray. It asks Kafka what the
// tasks of all instances have noted. Concurrent calls share one answer, of a request
// that began after each of the calls.
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
		for p := range m.processor.topics.partitions[topic] {
			inputs[topic] = append(inputs[topic], p)
		}
	}
	all, err := committedOffsets(ctx, m.processor.client, m.group.Name, inputs, false)
	if err != nil {
		return false, fmt.Errorf("%w: whether the key can be in another partition: %w", ErrRestoring, err)
	}
	for _, c := range all {
		if c.marks.strays {
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
	t, err := p.table(table)
	if err != nil {
		return false, err
	}
	return t.member.strays(ctx)
}

// anywhere looks for a row in all partitions of this instance. Its value is nil if
// none has it.
func (p *Processor) anywhere(_ context.Context, table string, key []byte) (topology.Raw, error) {
	t, err := p.table(table)
	if err != nil {
		return topology.Raw{}, err
	}
	for _, part := range t.here() {
		r, err := part.Row(key)
		if err != nil || r.Value != nil {
			return r, err
		}
	}
	return topology.Raw{Key: key, Position: topology.Position{Topic: t.spec.Changelog}}, nil
}
