// Package replica keeps a copy of a topic in LevelDB, and reads it.
package replica

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/notify"
	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/internal/waiting"
	"github.com/tidemark-dev/tidemark/topology"
)

// A Log is one partition of the topic, as kafka.Log reads it.
type Log interface {
	ReadTo(ctx context.Context, from, end int64, apply func(r *sarama.Record, offset int64, at time.Time) error, reached func(next, stable int64) error) error
}

// Config says what is copied, and where to.
type Config struct {
	Table     string // its name
	Topic     string
	Partition int32 // or All
	Dir       string
	Options   store.Options
	Retention time.Duration // of tombstones in the topic

	// Log returns a partition of the topic.
	Log func(partition int32) Log

	// Value returns the value of the row that a record is, without ok if the table
	// leaves the record out. Nil if each record is a row as it is.
	Value func(topology.Raw) (value []byte, ok bool)

	Waits  *waiting.Waits
	Logger *slog.Logger
}

// A Replica is a copy of one partition of a topic, or of all. It is opened, and
// written from the topic or by the task that writes the topic, too. Once it is
// served, anybody may read it.
//
// One goroutine at a time opens, writes and closes it, and may use the store
// meanwhile. The other methods are safe for concurrent use.
type Replica struct {
	config Config
	store  *store.Store // nil while it is not open
	home   Home
	filled bool // it has had rows, or the topic has had records

	view      atomic.Pointer[store.Store] // the store, while it is served
	positions atomic.Pointer[[]int64]     // the offsets that the rows are of, at least: of its partition, or by partition
	failure   atomic.Pointer[error]       // why it is not served
	left      atomic.Int64                // offsets to read until it is ready, -1 if that is not known
	news      notify.Bell                 // rows were committed, or it is not served any more
	turned    notify.Bell                 // it is served, or not any more
}

// New returns a replica that is not open.
func New(c Config) *Replica {
	r := &Replica{config: c}
	r.left.Store(-1)
	return r
}

// all tells whether the replica has all partitions.
func (r *Replica) all() bool { return r.config.Partition == All }

// String names the table, and the partition if it is one.
func (r *Replica) String() string {
	if r.all() {
		return fmt.Sprintf("global table %q", r.config.Table)
	}
	return fmt.Sprintf("store %s/%d", r.config.Table, r.config.Partition)
}

// Store returns the store, nil while the replica is not open.
func (r *Replica) Store() *store.Store { return r.store }

// Source returns the topic's id as of Open.
func (r *Replica) Source() string { return r.home.TopicID }

// Filled tells whether the table has had rows since it exists.
func (r *Replica) Filled() bool { return r.filled }

// Left returns how many offsets are to be read until the replica is ready, at least.
func (r *Replica) Left() int64 { return max(0, r.left.Load()) }

// SetLeft says how many offsets are to be read.
func (r *Replica) SetLeft(n int64) { r.left.Store(n) }

// Ready tells whether the replica is served.
func (r *Replica) Ready() bool { return r.view.Load() != nil }

// Turned returns a channel that is closed when the replica is served, or not any
// more.
func (r *Replica) Turned() <-chan struct{} { return r.turned.Next() }

// Failure returns why the replica is not served, nil if nothing is wrong.
func (r *Replica) Failure() error {
	if err := r.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// Commit hands what was put to LevelDB, with the offsets at which to go on: of its
// partition, or of all.
func (r *Replica) Commit(next ...int64) error {
	sum := int64(0)
	for _, at := range next {
		sum += at
	}
	if r.all() {
		r.store.Note(note(next))
	}
	if err := r.store.Commit(sum); err != nil {
		return fmt.Errorf("%s: %w", r, err)
	}
	r.positions.Store(&next)
	r.news.Ring()
	return nil
}

// note is what stands beside the rows of all partitions: the offsets, in order.
func note(next []int64) string {
	text := make([]byte, 0, 8*len(next))
	for _, at := range next {
		text = append(strconv.AppendInt(text, at, 10), ' ')
	}
	return string(text)
}

func parseNote(text string) (next []int64, err error) {
	for field := range strings.FieldsSeq(text) {
		at, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("its offsets are damaged: %q", text)
		}
		next = append(next, at)
	}
	return next, nil
}

// Serve shows the rows to readers.
func (r *Replica) Serve() {
	r.failure.Store(nil)
	r.view.Store(r.store)
	r.turned.Ring()
}

// Hide shows the rows to nobody any more, for a reason, until Serve is called again.
func (r *Replica) Hide(reason error) {
	r.failure.Store(&reason)
	r.view.Store(nil)
	r.news.Ring()
	r.turned.Ring()
}

// Close closes the store, if it is open. Current says that the rows are up to date
// as of now.
func (r *Replica) Close(current bool) error {
	if r.store == nil {
		return nil
	}
	s := r.store
	r.store = nil
	r.view.Store(nil)
	r.news.Ring()
	r.turned.Ring()
	return s.Close(current)
}

// Partition returns the partition, or All.
func (r *Replica) Partition() int32 { return r.config.Partition }
