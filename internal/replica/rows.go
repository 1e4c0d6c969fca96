package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/rows"
	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/topology"
)

// The Position of a row that is read is the partition of its key, and the offset
// before which all changes of that partition are in the answer.

// partition returns the number of the partition at an index of positions.
func (r *Replica) partition(i int) int32 {
	if r.all() {
		return int32(i)
	}
	return r.config.Partition
}

// position returns where a key is, if the rows are at next.
func (r *Replica) position(key []byte, next []int64) topology.Position {
	i := 0
	if r.all() {
		i = int(topology.Partition(key, int32(len(next))))
	}
	return topology.Position{Topic: r.config.Topic, Partition: r.partition(i), Offset: next[i]}
}

// Get returns a row and its time, with a nil value if there is none.
func (r *Replica) Get(key []byte) (value []byte, time int64, err error) {
	s := r.view.Load()
	if s == nil {
		return nil, 0, r.restoring()
	}
	value, time, _, err = s.Committed(key)
	return value, time, err
}

// Row returns a row, with a nil value if there is none. Errors wrap ErrRestoring if
// it may be there later; they, too, come with the position of the key.
func (r *Replica) Row(key []byte) (topology.Raw, error) {
	raw := topology.Raw{Key: key, Position: topology.Position{Topic: r.config.Topic, Partition: r.partition(0)}}
	s := r.view.Load()
	if s == nil {
		return raw, r.restoring()
	}
	raw.Position = r.position(key, *r.positions.Load()) // first: the row is of then or later
	value, at, _, err := s.Committed(key)
	if err != nil {
		return raw, r.reason(err)
	}
	if value != nil {
		raw.Value, raw.Time = value, time.UnixMilli(at)
	}
	return raw, nil
}

// Rows yields the rows with from <= key < to in order. A nil to has no end.
func (r *Replica) Rows(ctx context.Context, from, to []byte) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		_, err := r.rows(ctx, from, to, func(row topology.Raw) bool { return yield(row, nil) })
		if err != nil && !errors.Is(err, errEnough) {
			yield(topology.Raw{}, err)
		}
	}
}

// errEnough ends an iteration that nobody listens to any more.
var errEnough = errors.New("enough")

// rows yields rows, and returns the offsets that they are of.
func (r *Replica) rows(ctx context.Context, from, to []byte, yield func(topology.Raw) bool) (next []int64, err error) {
	snap, err := r.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Release()
	next = []int64{snap.Position}
	if r.all() {
		if next, err = parseNote(snap.Note); err != nil {
			return nil, r.reason(err)
		}
	}
	for row, err := range snap.Rows(from, to) {
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			return nil, r.reason(err)
		case !yield(topology.Raw{Key: row.Key, Value: row.Value, Time: time.UnixMilli(row.Time), Position: r.position(row.Key, next)}):
			return nil, errEnough
		}
	}
	return next, nil
}

// Snapshot returns the rows as of now. It must be released.
func (r *Replica) Snapshot() (*store.Snapshot, error) {
	s := r.view.Load()
	if s == nil {
		return nil, r.restoring()
	}
	snap, err := s.Snapshot()
	if err != nil {
		return nil, r.reason(err)
	}
	return snap, nil
}

// Watch yields the rows and then every change as it is committed, until ctx is done
// or the replica is not served any more. A nil Value is a deleted row.
func (r *Replica) Watch(ctx context.Context) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		some := func(row topology.Raw) bool { return yield(row, nil) }
		served := r.view.Load()
		next, err := r.rows(ctx, nil, nil, some)
		for err == nil && ctx.Err() == nil {
			news := r.news.Next()
			now := *r.positions.Load()
			switch {
			case r.view.Load() != served:
				err = r.gone()
			case slices.Equal(now, next):
				select {
				case <-news:
				case <-ctx.Done():
				}
			default:
				err = r.since(ctx, next, now, some)
			}
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, errEnough) {
			yield(topology.Raw{}, err)
		}
	}
}

// since yields what has changed up to now, and moves next there.
func (r *Replica) since(ctx context.Context, next, now []int64, yield func(topology.Raw) bool) error {
	for i := range next {
		err := r.between(ctx, r.partition(i), next[i], now[i], func(row topology.Raw) error {
			row.Key, row.Value = bytes.Clone(row.Key), bytes.Clone(row.Value)
			if row.Offset++; !yield(row) {
				return errEnough
			}
			return nil
		}, func(at int64) error {
			next[i] = at
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Changes hands over the committed rows of the replica's partition from one offset
// up to, not including, another, and tells reached after each answer of the broker
// where it goes on. A row is valid until Changes returns; its Position is that of
// its record. Errors are those of kafka.Log.ReadTo.
func (r *Replica) Changes(ctx context.Context, from, end int64, row func(topology.Raw) error, reached func(next int64) error) error {
	return r.between(ctx, r.config.Partition, from, end, row, reached)
}

func (r *Replica) between(ctx context.Context, partition int32, from, end int64, row func(topology.Raw) error, reached func(next int64) error) error {
	return r.config.Log(partition).ReadTo(ctx, from, end, func(record *sarama.Record, offset int64, at time.Time) error {
		raw := topology.Raw{
			Key: record.Key, Value: record.Value, Time: at,
			Position: topology.Position{Topic: r.config.Topic, Partition: partition, Offset: offset},
		}
		if r.config.Value != nil {
			var ok bool
			if raw.Value, ok = r.config.Value(raw); !ok {
				return nil
			}
		}
		return row(raw)
	}, func(next, _ int64) error { return reached(next) })
}

// reason is an error of the store as a reader is to see it: a store that is closed
// or damaged is about to be restored.
func (r *Replica) reason(err error) error {
	switch {
	case errors.Is(err, store.ErrClosed):
		return r.restoring()
	case errors.Is(err, store.ErrDamaged):
		return fmt.Errorf("%w: %s: %w", rows.ErrRestoring, r, err)
	}
	return fmt.Errorf("%s: %w", r, err)
}

// what names the replica to a reader.
func (r *Replica) what() string {
	if r.all() {
		return r.String()
	}
	return fmt.Sprintf("partition %d", r.config.Partition)
}

// restoring says how far a replica is that is not served.
func (r *Replica) restoring() error {
	records := "changelog records"
	if r.all() {
		records = "records"
	}
	failure, left := r.Failure(), r.left.Load()
	switch {
	case failure != nil:
		return fmt.Errorf("%w: %s: %w", rows.ErrRestoring, r.what(), failure)
	case left > 0:
		return fmt.Errorf("%w: %s has %d %s to read", rows.ErrRestoring, r.what(), left, records)
	}
	return fmt.Errorf("%w: %s is being opened", rows.ErrRestoring, r.what())
}

// gone says why a replica that was served is not any more.
func (r *Replica) gone() error {
	if r.all() {
		return r.restoring()
	}
	return fmt.Errorf("%w: %s has gone elsewhere", rows.ErrRestoring, r.what())
}
