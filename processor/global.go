package processor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/internal/notify"
	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/topology"
)

// A global is a global table: all partitions of its topic in one store, as this
// instance has them. Whoever reads the topic writes the table, others read it at
// the same time. It is ready once it has been read to what was committed when
// its reading began, and stays ready while Kafka is away.
type global struct {
	topology.Global
	*Processor
	view   atomic.Pointer[store.Store] // while it is ready
	news   notify.Bell                 // places have moved, or the view has gone
	places atomic.Pointer[[]int64]     // by partition: the offsets that the rows are of, at least
	left   atomic.Int64                // offsets to read until it is ready
	behind atomic.Int64                // offsets to read until the end, as of the last time that Kafka answered

	// reading guards what is below: one leader's answer is taken at a time.
	reading   sync.Mutex
	store     *store.Store // nil while it is not open
	source    string       // the topic's incarnation
	retention time.Duration
	cursors   []*kafka.Cursor // by partition
	goals     []int64         // by partition: where it is ready, -1 while that is not known
	began     time.Time       // when it was opened, zero once it has been ready
	count     int             // rows since it was opened
	heard     time.Time       // when Kafka answered last

	mu      sync.Mutex
	failure error         // why it is not ready
	changed chan struct{} // closed when it becomes ready, or fails
}

func newGlobal(p *Processor, g topology.Global) *global {
	t := &global{Global: g, Processor: p, retention: p.topics.retention[g.Topic], changed: make(chan struct{})}
	t.left.Store(-1)
	return t
}

// take applies what a fetch has brought for a cursor.
func (t *global) take(c *kafka.Cursor) error {
	t.reading.Lock()
	defer t.reading.Unlock()
	if t.store == nil {
		return nil // another leader's answer has closed it
	}
	if err := t.store.Damage(); err != nil {
		return err // as a task or a query has found it
	}
	if silent := time.Since(t.heard); silent > max(t.retention, 2*globalRound) {
		return &staleError{fmt.Errorf("topic %s was out of reach for %v, and keeps tombstones for %v", t.Topic, silent.Round(time.Second), t.retention)}
	}
	next, err := c.Take(func(r *sarama.Record, offset int64, at time.Time) error {
		if err := t.put(r, at, topology.Position{Topic: t.Topic, Partition: c.Partition, Offset: offset}); err != nil {
			return err
		}
		if t.store.Held() < restoreBytes {
			return nil
		}
		c.Next = offset + 1
		return t.commit()
	})
	if err != nil {
		t.store.Discard()
		return err
	}
	t.heard = time.Now()
	if t.goals[c.Partition] < 0 {
		t.goals[c.Partition] = c.Stable
	}
	if next > c.Next {
		c.Next = next
		if err := t.commit(); err != nil {
			return err
		}
	}
	return t.progress()
}

// put applies one record.
func (t *global) put(r *sarama.Record, at time.Time, position topology.Position) error {
	row, ok, err := t.Row(topology.Raw{Key: r.Key, Value: r.Value, Time: at, Position: position}, t.config.Policies)
	if e, refused := errors.AsType[*topology.RecordError](err); refused && e.Policy != topology.Fail {
		t.counts.skipped.Add(1)
		t.config.Logger.Warn("record left out of a global table", "error", e)
		return nil
	}
	switch {
	case err != nil:
		return err
	case ok:
		t.store.Put(row.Key, row.Value, row.Time)
		t.count++
	default:
		t.counts.dropped[topology.NoKey].Add(1)
	}
	return nil
}

// progress counts what is to be read, and makes the table ready if that is
// nothing.
func (t *global) progress() error {
	left, behind := int64(0), int64(0)
	for p, c := range t.cursors {
		behind += max(0, c.Stable-c.Next)
		if t.goals[p] < 0 {
			left++ // at least: its end is not known
		}
		left += max(0, t.goals[p]-c.Next)
	}
	t.left.Store(left)
	t.behind.Store(behind)
	if what := "global table " + t.Store + " to be read"; left > 0 {
		t.waits.Expect(what, "", fmt.Sprintf("%d offsets of topic %s to go", left, t.Topic))
	} else {
		t.waits.Clear(what, "")
	}
	if left > 0 || t.view.Load() != nil {
		return nil
	}
	if err := t.restored(); err != nil {
		return err
	}
	t.mu.Lock()
	t.failure = nil
	t.view.Store(t.store)
	close(t.changed)
	t.changed = make(chan struct{})
	t.mu.Unlock()
	t.update()
	return nil
}

// restored notes that all has been read that there was when the table was opened.
func (t *global) restored() error {
	if t.began.IsZero() {
		return nil
	}
	took := time.Since(t.began)
	t.began = time.Time{}
	t.counts.restored.Add(int64(t.count))
	if t.count > 0 {
		t.config.Logger.Info("global table restored", "table", t.Store, "records", t.count, "took", took.Round(time.Millisecond))
	}
	if took > t.retention && t.count > 0 {
		return &startError{fmt.Errorf("reading global table %q took %v, and its topic keeps tombstones for %v: raise delete.retention.ms of %s", t.Store, took, t.retention, t.Topic)}
	}
	return t.commit() // also if there was nothing to read: the offsets are noted
}

// fail ends the sessions whose tasks look at the table, which is not ready then
// until it has been read anew.
func (t *global) fail(err error) {
	t.mu.Lock()
	t.failure = err
	close(t.changed)
	t.changed = make(chan struct{})
	t.mu.Unlock()
	for _, m := range t.watching() {
		if s := m.session.Load(); s != nil {
			s.fail(&staleError{err})
		}
	}
	t.view.Store(nil)
	t.news.Ring()
	t.update()
}

// watching returns the members whose tasks look at the table.
func (t *global) watching() (members []*member) {
	t.Processor.mu.Lock()
	defer t.Processor.mu.Unlock()
	for _, m := range t.members {
		if slices.ContainsFunc(m.group.Globals, func(g topology.Global) bool { return g.Store == t.Store }) {
			members = append(members, m)
		}
	}
	return members
}

// wait returns when the table is ready or ctx is done, and with an error when a
// record of it is refused meanwhile.
func (t *global) wait(ctx context.Context) error {
	for {
		t.mu.Lock()
		changed := t.changed
		t.mu.Unlock()
		if t.view.Load() != nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
		t.mu.Lock()
		failure := t.failure
		t.mu.Unlock()
		if refused, ok := errors.AsType[*topology.RecordError](failure); ok {
			return refused
		}
	}
}

// Get returns a row to a task.
func (t *global) Get(key []byte) (value []byte, time int64, err error) {
	s := t.view.Load()
	if s == nil {
		return nil, 0, t.restoring()
	}
	value, time, _, err = s.Committed(key)
	return value, time, err
}

// Scan and Due are for stores of a task's own.
func (t *global) Scan([]byte, []byte) iter.Seq2[topology.Row, error] { return t.notHere }
func (t *global) Due() iter.Seq2[topology.Row, error]                { return t.notHere }

func (t *global) notHere(yield func(topology.Row, error) bool) {
	yield(topology.Row{}, fmt.Errorf("global table %q: its rows are looked up by key only", t.Store))
}
