package processor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/internal/replica"
	"github.com/tidemark-dev/tidemark/topology"
)

// A global is a global table: the replica of all partitions of its topic. The readers
// of globals write it, and everybody may read it meanwhile. It is ready when it has
// been read up to what was committed when the reading began, and stays ready while
// Kafka is away.
type global struct {
	processor *Processor
	spec      topology.Global
	replica   *replica.Replica
	retention time.Duration // of tombstones in the topic
	behind    atomic.Int64  // offsets to read until the end, as of the last time that Kafka answered

	// reading guards what is below, and writing the replica: one leader's answer is
	// taken at a time.
	reading sync.Mutex
	cursors []*kafka.Cursor // by partition
	goals   []int64         // by partition: where it is ready, -1 while that is not known
	began   time.Time       // when it was opened, zero once it has been ready
	count   int             // rows since it was opened
	heard   time.Time       // when Kafka answered last
}

func newGlobal(p *Processor, g topology.Global) *global {
	t := &global{processor: p, spec: g, retention: p.topics.retention[g.Topic]}
	t.replica = replica.New(replica.Config{
		Table: g.Store, Topic: g.Topic, Partition: replica.All,
		Dir: filepath.Join(p.config.StateDir, g.Store, "global"), Retention: t.retention,
		Log: func(partition int32) replica.Log {
			return kafka.Log{Client: p.client, Topic: g.Topic, Partition: partition}
		},
		Value: func(r topology.Raw) ([]byte, bool) {
			row, ok, err := g.Row(r, p.config.Policies)
			return row.Value, ok && err == nil
		},
		Waits: p.waits, Logger: p.config.Logger,
	})
	return t
}

// open opens the store, and wipes it if it does not fit the topic. It is called
// again from time to time, to notice a topic that was created again.
func (t *global) open(ctx context.Context, client sarama.Client) error {
	topic := t.spec.Topic
	partitions, err := client.Partitions(topic)
	if err != nil {
		return fmt.Errorf("topic %q: %w", topic, err)
	}
	source, err := t.processor.incarnation(ctx, topic)
	if err != nil {
		return err
	}
	t.reading.Lock()
	defer t.reading.Unlock()
	if t.replica.Store() != nil && t.replica.Source() == source && len(t.cursors) == len(partitions) {
		if t.replica.Ready() && t.behind.Load() == 0 && time.Since(t.heard) < time.Second {
			return t.commit() // it is up to date, and notes the time
		}
		return nil
	}
	if err := t.close(false, fmt.Errorf("topic %q was made anew, or has other partitions", topic)); err != nil {
		return err
	}
	t.cursors, t.goals = nil, nil
	spans := make([]replica.Span, len(partitions))
	for p := range partitions {
		held := kafka.Log{Client: client, Topic: topic, Partition: int32(p)}
		if spans[p].Start, spans[p].End, err = held.Bounds(); err != nil {
			return err
		}
		t.cursors, t.goals = append(t.cursors, &kafka.Cursor{Log: held, Epoch: -1}), append(t.goals, -1)
	}
	home := replica.Home{Cluster: t.processor.clusterID(), Application: t.processor.topology.Application(), TopicID: source}
	if err := t.replica.Open(home, spans, nil); err != nil {
		return err
	}
	for p, next := range t.replica.Next() {
		t.cursors[p].Next = next
	}
	t.began, t.heard, t.count = time.Now(), time.Now(), 0
	return nil
}

// commit hands what was put to LevelDB, with the offsets at which to go on.
func (t *global) commit() error {
	next := make([]int64, len(t.cursors))
	for p, c := range t.cursors {
		next[p] = c.Next
	}
	return t.replica.Commit(next...)
}

// close closes the store, if it is open. The table is not ready then, for a
// reason. Reading is locked.
func (t *global) close(current bool, reason error) error {
	if t.replica.Store() == nil {
		return nil
	}
	t.replica.SetLeft(-1)
	if t.replica.Ready() {
		t.fail(reason)
	}
	return t.replica.Close(current)
}

// take applies what a fetch has brought for a cursor.
func (t *global) take(c *kafka.Cursor) error {
	t.reading.Lock()
	defer t.reading.Unlock()
	s := t.replica.Store()
	if s == nil {
		return nil // another leader's answer has closed it
	}
	if err := s.Damage(); err != nil {
		return err // a task or a query has found it
	}
	if silent := time.Since(t.heard); silent > max(t.retention, 2*globalRound) {
		return &staleError{fmt.Errorf("topic %s was out of reach for %v, and keeps tombstones for %v", t.spec.Topic, silent.Round(time.Second), t.retention)}
	}
	next, err := c.Take(func(r *sarama.Record, offset int64, at time.Time) error {
		if err := t.put(r, at, topology.Position{Topic: t.spec.Topic, Partition: c.Partition, Offset: offset}); err != nil {
			return err
		}
		if s.Held() < replica.BatchBytes {
			return nil
		}
		c.Next = offset + 1
		return t.commit()
	})
	if err != nil {
		s.Discard()
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
	row, ok, err := t.spec.Row(topology.Raw{Key: r.Key, Value: r.Value, Time: at, Position: position}, t.processor.config.Policies)
	if e, refused := errors.AsType[*topology.RecordError](err); refused && e.Policy != topology.Fail {
		t.processor.counts.skipped.Add(1)
		t.processor.config.Logger.Warn("record left out of a global table", "error", e)
		return nil
	}
	switch {
	case err != nil:
		return err
	case ok:
		t.replica.Store().Put(row.Key, row.Value, row.Time)
		t.count++
	default:
		t.processor.counts.dropped[topology.NoKey].Add(1)
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
	t.replica.SetLeft(left)
	t.behind.Store(behind)
	if what := "global table " + t.spec.Store + " to be read"; left > 0 {
		t.processor.waits.Expect(what, "", fmt.Sprintf("%d offsets of topic %s to go", left, t.spec.Topic))
	} else {
		t.processor.waits.Clear(what, "")
	}
	if left > 0 || t.replica.Ready() {
		return nil
	}
	if err := t.restored(); err != nil {
		return err
	}
	t.replica.Serve()
	t.processor.update()
	return nil
}

// restored notes that all has been read that there was when the table was opened.
func (t *global) restored() error {
	if t.began.IsZero() {
		return nil
	}
	took := time.Since(t.began)
	t.began = time.Time{}
	t.processor.counts.restored.Add(int64(t.count))
	if t.count > 0 {
		t.processor.config.Logger.Info("global table restored", "table", t.spec.Store, "records", t.count, "took", took.Round(time.Millisecond))
	}
	if err := t.replica.CheckTime(took); err != nil && t.count > 0 {
		return &startError{err}
	}
	return t.commit() // also if there was nothing to read: the offsets are noted
}

// fail ends the sessions whose tasks look at the table, and then hides it until it
// has been read again: no task must see it hidden.
func (t *global) fail(err error) {
	for _, m := range t.watching() {
		if s := m.session.Load(); s != nil {
			s.fail(&staleError{err})
		}
	}
	t.replica.Hide(err)
	t.processor.update()
}

// watching returns the members whose tasks look at the table.
func (t *global) watching() (members []*member) {
	t.processor.mu.Lock()
	defer t.processor.mu.Unlock()
	for _, m := range t.processor.members {
		if slices.ContainsFunc(m.group.Globals, func(g topology.Global) bool { return g.Store == t.spec.Store }) {
			members = append(members, m)
		}
	}
	return members
}

// wait returns when the table is ready or ctx is done, and with an error when a
// record of it is refused meanwhile.
func (t *global) wait(ctx context.Context) error {
	for {
		turned := t.replica.Turned()
		if t.replica.Ready() {
			return nil
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return nil
		}
		if refused, ok := errors.AsType[*topology.RecordError](t.replica.Failure()); ok {
			return refused
		}
	}
}

// Get returns a row to a task.
func (t *global) Get(key []byte) (value []byte, time int64, err error) { return t.replica.Get(key) }

// Scan and Due are for stores of a task's own.
func (t *global) Scan([]byte, []byte) iter.Seq2[topology.Row, error] { return t.notHere }
func (t *global) Due() iter.Seq2[topology.Row, error]                { return t.notHere }

func (t *global) notHere(yield func(topology.Row, error) bool) {
	yield(topology.Row{}, fmt.Errorf("global table %q: its rows are looked up by key only", t.spec.Store))
}
