package processor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/internal/txn"
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
	places atomic.Pointer[[]int64]     // by partition: the offsets that the rows are of, at least
	left   atomic.Int64                // offsets to read until it is ready
	behind atomic.Int64                // offsets to read until the end, as of the last time that Kafka answered

	// reading guards what is below: one leader's answer is taken at a time.
	reading   sync.Mutex
	store     *store.Store // nil while it is not open
	source    string       // the topic's incarnation
	retention time.Duration
	cursors   []*txn.Cursor // by partition
	goals     []int64       // by partition: where it is ready, -1 while that is not known
	began     time.Time     // when it was opened, zero once it has been ready
	count     int           // rows since it was opened
	heard     time.Time     // when Kafka answered last

	mu      sync.Mutex
	failure error         // why it is not ready
	changed chan struct{} // closed when it becomes ready, or fails
}

func newGlobal(p *Processor, g topology.Global) *global {
	t := &global{Global: g, Processor: p, retention: p.topics.retention[g.Topic], changed: make(chan struct{})}
	t.left.Store(-1)
	return t
}

// open opens the store, and wipes it if it does not fit the topic. It is called
// again from time to time: a topic that was made anew is noticed so.
func (t *global) open(client sarama.Client) error {
	partitions, err := client.Partitions(t.Topic)
	if err != nil {
		return fmt.Errorf("topic %q: %w", t.Topic, err)
	}
	source, err := t.incarnation(t.Topic)
	if err != nil {
		return err
	}
	t.reading.Lock()
	defer t.reading.Unlock()
	if t.store != nil && t.source == source && len(t.cursors) == len(partitions) {
		if t.view.Load() != nil && t.behind.Load() == 0 && time.Since(t.heard) < time.Second {
			return t.commit() // it is as good as new, and says so if it is found later
		}
		return nil
	}
	if err := t.close(false, fmt.Errorf("topic %q was made anew, or has other partitions", t.Topic)); err != nil {
		return err
	}
	starts, ends := make([]int64, len(partitions)), make([]int64, len(partitions))
	t.cursors, t.goals = nil, nil
	for p := range partitions {
		log := txn.Log{Client: client, Topic: t.Topic, Partition: int32(p)}
		if starts[p], ends[p], err = log.Bounds(); err != nil {
			return err
		}
		t.cursors, t.goals = append(t.cursors, &txn.Cursor{Log: log, Next: starts[p]}), append(t.goals, -1)
	}
	var places []int64
	s, wiped, err := store.Open(filepath.Join(t.config.StateDir, t.Store, "global"), store.Options{}, func(o store.Origin) (wrong error) {
		places, wrong = t.fit(o, source, starts, ends)
		return wrong
	})
	if err != nil {
		return err
	}
	if wiped != "" {
		t.config.Logger.Warn("local global table wiped, to be read from its topic", "table", t.Store, "reason", wiped)
	}
	if err := s.Begin(source); err != nil {
		return errors.Join(err, s.Close(false))
	}
	for p, at := range places {
		t.cursors[p].Next = max(at, starts[p])
	}
	t.store, t.source, t.began, t.heard, t.count = s, source, time.Now(), time.Now(), 0
	return nil
}

// fit returns how far a store of some origin is in the topic, by partition, or
// why it cannot be brought up to date from there.
func (t *global) fit(o store.Origin, source string, starts, ends []int64) (places []int64, err error) {
	places, err = parsePlaces(o.Note)
	switch {
	case err != nil:
		return nil, err
	case o.Position == 0: // it has no rows
		return nil, nil
	case o.Source != source:
		return nil, fmt.Errorf("it belongs to another incarnation of topic %s", t.Topic)
	case len(places) > len(ends):
		return nil, fmt.Errorf("it has %d partitions, and topic %s has %d", len(places), t.Topic, len(ends))
	}
	for p, at := range places {
		switch {
		case at > ends[p]:
			return nil, fmt.Errorf("it is at %s/%d@%d, which ends at %d", t.Topic, p, at, ends[p])
		case at < starts[p]:
			return nil, fmt.Errorf("it is at %s/%d@%d, which begins at %d", t.Topic, p, at, starts[p])
		case at < ends[p] && time.Since(o.Saved) > t.retention:
			return nil, fmt.Errorf("it was left %v ago, and topic %s keeps tombstones for %v", time.Since(o.Saved).Round(time.Second), t.Topic, t.retention)
		}
	}
	return places, nil
}

// take applies what a fetch has brought for a cursor.
func (t *global) take(c *txn.Cursor) error {
	t.reading.Lock()
	defer t.reading.Unlock()
	if t.store == nil {
		return nil // another leader's answer has closed it
	}
	if silent := time.Since(t.heard); silent > max(t.retention, 2*globalRound) {
		return fmt.Errorf("topic %s was out of reach for %v, and keeps tombstones for %v", t.Topic, silent.Round(time.Second), t.retention)
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
		t.counts.dropped.Add(1)
	}
	return nil
}

// commit hands what was put to LevelDB, with the offsets at which to go on.
func (t *global) commit() error {
	places, sum := make([]int64, len(t.cursors)), int64(0)
	note := make([]byte, 0, 8*len(places))
	for p, c := range t.cursors {
		places[p], sum = c.Next, sum+c.Next
		note = append(strconv.AppendInt(note, c.Next, 10), ' ')
	}
	t.store.Note(string(note))
	if err := t.store.Commit(sum); err != nil {
		return fmt.Errorf("global table %q: %w", t.Store, err)
	}
	t.places.Store(&places)
	return nil
}

// parsePlaces reads the offsets that a commit has noted.
func parsePlaces(note string) (places []int64, err error) {
	for text := range strings.FieldsSeq(note) {
		at, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("its offsets are damaged: %q", note)
		}
		places = append(places, at)
	}
	return places, nil
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
		return fmt.Errorf("reading global table %q took %v, and its topic keeps tombstones for %v: raise delete.retention.ms of %s", t.Store, took, t.retention, t.Topic)
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
			s.fail(err)
		}
	}
	t.view.Store(nil)
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

// close closes the store, if it is open. The table is not ready then, for a
// reason. Reading is locked.
func (t *global) close(current bool, reason error) error {
	if t.store == nil {
		return nil
	}
	t.left.Store(-1)
	if t.view.Load() != nil {
		t.fail(reason)
	}
	s := t.store
	t.store = nil
	return s.Close(current)
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
