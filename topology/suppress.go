package topology

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology/internal/wire"
)

// Until says for how long [Suppress] holds changes back. Closed stands alone; of
// Age and Rows what comes first ends it.
type Until struct {
	// Closed is until the row's window is closed: each window of a table comes
	// once, as it is in the end. A row that was deleted by then does not come.
	Closed bool

	// Age is until the first change held back of a row is so old, by the newest
	// change that the step has seen. Whole milliseconds.
	Age time.Duration

	// Rows is how many rows are held back at most in a partition: when there are
	// more, the one whose first change is the oldest goes.
	Rows int
}

// Suppress holds the changes of a table back and passes on the last one of each
// row, in the order of their first ones, of windows in the order of their ends.
// Time is that of changes that come: without any, nothing is passed on. A result
// has the time and the headers of the change that it is. What is held back is
// kept in a store of its own, named after the rows with "-buffer". The rows of
// windows stay unless the store has a TTL.
func Suppress[K, V any](t Table[K, V], rows Store[K, V], until Until) Table[K, V] {
	b, up := t.upstream()
	table, down, rows := tableOf(b, up, "suppress", rows, up.value)
	wait, err := until.wait(up.windows)
	if err != nil {
		b.wrong("%s: %w", down.name, err)
	}
	if up.windows != nil && rows.TTL != 0 {
		down.windows = keepWindows(b, down.node, up.windows, up.key, table, rows)
	}
	held := b.keepHeld(down.node, rows.Name+"-buffer", until, wait)
	held.partitionKey = table.partitionKey
	same := sameCodec(up.value, rows.Value)
	up.feed(down.node, func(k *Task) step[K, V] {
		s := &suppression[K, V]{
			k: k, at: down.node, keys: rows.Key, values: rows.Value, same: same, until: until, held: k.store(held),
			clock: k.clock(held.name), put: startTable(k, down, table), row: newItem(rows.Key, rows.Value),
		}
		if down.windows != nil && table.deadline != nil {
			s.expire = k.store(table).expire
		}
		return s.change
	})
	return Table[K, V]{b, down, table}
}

// wait returns how long after a row's time in the buffer it goes.
func (u Until) wait(w *windowing) (int64, error) {
	switch {
	case u.Age < 0:
		return 0, fmt.Errorf("%s is %v, less than 0", "Age", u.Age)
	case u.Age%time.Millisecond != 0:
		return 0, wholeMillis("Age", u.Age)
	case u.Rows < 0:
		return 0, fmt.Errorf("Rows is %d, less than 0", u.Rows)
	case u == Until{}:
		return 0, errors.New("nothing is held back: it has neither Closed nor Age nor Rows")
	case u.Closed && (u.Age != 0 || u.Rows != 0):
		return 0, errors.New("it has Closed, which means the last change of a window, and Age or Rows, which let others pass")
	case u.Closed && w == nil:
		return 0, errors.New("it has Closed, and the table is not one of windows")
	case u.Closed && w.kind == fixed:
		return w.grace, nil
	case u.Closed: // the end is within the window
		return w.grace + 1, nil
	}
	return u.Age.Milliseconds(), nil
}

// A suppression is a Suppress within a task.
type suppression[K, V any] struct {
	k      *Task
	at     *node
	keys   codec.Codec[K]
	values codec.Codec[V]
	same   bool // a change has the codec of values
	until  Until
	held   *rows // as wire.Held writes them
	count  int   // of held, if until.Rows limits them
	clock  *clock
	row    *item[K, V] // that goes
	put    func(it *item[K, V], data []byte, same bool) error
	expire func(now int64) error // nil if rows stay
}

// change holds a change back, and passes on what is to go now.
func (s *suppression[K, V]) change(it *item[K, V]) error {
	if filed, err := it.file(s.k, s.at, s.keys); !filed {
		return err
	}
	now := s.clock.observe(it.time)
	if s.until.Closed && s.held.state.Deadline(it.key.data, nil, 0) <= now {
		s.k.drop(Late) // the window has come, or never will
		return nil
	}
	if err := s.recount(); err != nil {
		return err
	}
	if err := s.hold(it); err != nil {
		return err
	}
	until := now
	if !s.until.Closed && s.until.Age == 0 {
		until = -1 // only its number makes a row go
	}
	due, err := s.held.due(until)
	if err != nil {
		return err
	}
	if err := s.release(due); err != nil {
		return err
	}
	if over := s.count - s.until.Rows; s.until.Rows > 0 && over > 0 {
		oldest, err := s.held.firstDue(never-1, over)
		if err != nil {
			return err
		}
		if err := s.release(oldest); err != nil {
			return err
		}
	}
	if s.expire == nil {
		return nil
	}
	return s.expire(now)
}

// recount counts what is held back, in a task that has not done so, or whose last
// call has failed, which is when nobody knows what is due.
func (s *suppression[K, V]) recount() error {
	if s.until.Rows == 0 || s.held.next != math.MinInt64 {
		return nil
	}
	s.count = 0
	for row, err := range s.held.scan(nil, nil) {
		if err != nil {
			return err
		}
		if row.Value != nil {
			s.count++
		}
	}
	return nil
}

// hold keeps a change in the place of an earlier one of the row.
func (s *suppression[K, V]) hold(it *item[K, V]) error {
	data, err := it.value.encoded(s.k, s.at, s.values, s.same)
	if err != nil {
		return err
	}
	earlier, _, err := s.held.get(it.key.data)
	if err != nil {
		return err
	}
	since := it.time
	switch {
	case earlier != nil:
		since = wire.HeldSince(earlier)
	case s.until.Closed:
		_, since = wire.WindowOf(it.key.data)
	}
	if earlier == nil {
		s.count++
	}
	s.held.put(it.key.data, wire.Held[Header]{Since: since, Headers: it.headers, Value: data}.Encode(), it.time)
	return nil
}

// release passes rows on that were held back.
func (s *suppression[K, V]) release(rows []Row) error {
	for _, row := range rows {
		held, err := wire.DecodeHeld[Header](row.Value)
		if err != nil {
			return fmt.Errorf("store %q: %w", s.held.state.Name, err)
		}
		s.held.put(row.Key, nil, row.Time)
		s.count--
		if s.until.Closed && held.Value == nil {
			continue
		}
		s.row.key.load(row.Key)
		s.row.value.load(held.Value)
		s.row.time, s.row.headers = row.Time, held.Headers
		if err := s.put(s.row, held.Value, true); err != nil {
			return err
		}
	}
	return nil
}

// keepHeld declares the store of what is held back.
func (b *Builder) keepHeld(n *node, name string, until Until, wait int64) *kept {
	s := b.keepBuffer(n, name)
	s.deadline = func(_, value []byte, _ int64) int64 { return wire.HeldSince(value) + wait }
	s.deadlineName = fmt.Sprintf("held back for %d ms", wait)
	if until.Closed {
		s.keyDeadline = true
		s.deadline = func(key, _ []byte, _ int64) int64 { _, end := wire.WindowOf(key); return end + wait }
		s.deadlineName = fmt.Sprintf("held back until closed, %d ms", wait)
	}
	return s
}
