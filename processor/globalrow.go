package processor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// Every instance answers for all rows of a global table. A row's position is the
// partition that murmur2 gives its key, and the offset up to which that has been
// read.

// row returns a row, with a nil value if there is none.
func (t *global) row(key []byte) (topology.Raw, error) {
	r := topology.Raw{Key: key, Position: topology.Position{Topic: t.Topic}}
	s := t.view.Load()
	if s == nil {
		return r, t.restoring()
	}
	r.Position = t.position(key, *t.places.Load())
	value, at, _, err := s.Committed(key)
	if err != nil {
		return r, t.reason(err)
	}
	if r.Value = value; value != nil {
		r.Time = time.UnixMilli(at)
	}
	return r, nil
}

// position is where a key is, and how far that has been read.
func (t *global) position(key []byte, places []int64) topology.Position {
	p := topology.Partition(key, int32(len(places)))
	return topology.Position{Topic: t.Topic, Partition: p, Offset: places[p]}
}

// rows yields the rows with from <= key < to in order, and returns the offsets
// that they are of. A nil to has no end.
func (t *global) rows(ctx context.Context, from, to []byte, yield func(topology.Raw) bool) (places []int64, err error) {
	s := t.view.Load()
	if s == nil {
		return nil, t.restoring()
	}
	snap, err := s.Snapshot()
	if err != nil {
		return nil, t.reason(err)
	}
	defer snap.Release()
	if places, err = parsePlaces(snap.Note); err != nil {
		return nil, t.reason(err)
	}
	for r, err := range snap.Rows(from, to) {
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			return nil, t.reason(err)
		case !yield(topology.Raw{Key: r.Key, Value: r.Value, Time: time.UnixMilli(r.Time), Position: t.position(r.Key, places)}):
			return nil, errEnough
		}
	}
	return places, nil
}

// errEnough ends what nobody listens to any more.
var errEnough = errors.New("enough")

// all is rows as an iterator.
func (t *global) all(ctx context.Context, from, to []byte) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		_, err := t.rows(ctx, from, to, func(r topology.Raw) bool { return yield(r, nil) })
		if err != nil && !errors.Is(err, errEnough) {
			yield(topology.Raw{}, err)
		}
	}
}

// changes yields the rows and then every change, until ctx is done. A nil Value
// is a deleted row.
func (t *global) changes(ctx context.Context) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		some := func(r topology.Raw) bool { return yield(r, nil) }
		places, err := t.rows(ctx, nil, nil, some)
		for err == nil && ctx.Err() == nil {
			news := t.news.Next()
			now := t.places.Load()
			switch {
			case t.view.Load() == nil:
				err = t.restoring()
			case slices.Equal(*now, places):
				select {
				case <-news:
				case <-ctx.Done():
				}
			default:
				err = t.since(places, *now, some)
			}
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, errEnough) {
			yield(topology.Raw{}, err)
		}
	}
}

// since yields what has changed between two places, and moves the first on.
func (t *global) since(places, now []int64, yield func(topology.Raw) bool) error {
	for p := range places {
		held := kafka.Log{Client: t.client, Topic: t.Topic, Partition: int32(p)}
		for places[p] < now[p] {
			next, stable, err := held.Read(places[p], 0, func(r *sarama.Record, offset int64, at time.Time) error {
				raw := topology.Raw{
					Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value), Time: at,
					Position: topology.Position{Topic: t.Topic, Partition: int32(p), Offset: offset},
				}
				row, ok, err := t.Row(raw, t.config.Policies)
				if err != nil || !ok {
					return nil // the table has left it out, too
				}
				raw.Value, raw.Offset = row.Value, offset+1
				if !yield(raw) {
					return errEnough
				}
				return nil
			})
			if err != nil {
				return err
			}
			if next == places[p] && stable >= now[p] {
				next = now[p] // the rest was compacted away
			}
			places[p] = next
		}
	}
	return nil
}

func (t *global) reason(err error) error {
	return unreadable(err, fmt.Sprintf("global table %q", t.Store), t.restoring)
}

// restoring says how far the table is.
func (t *global) restoring() error {
	t.mu.Lock()
	failure := t.failure
	t.mu.Unlock()
	switch left := t.left.Load(); {
	case failure != nil:
		return fmt.Errorf("%w: global table %q: %w", ErrRestoring, t.Store, failure)
	case left > 0:
		return fmt.Errorf("%w: global table %q has %d records to read", ErrRestoring, t.Store, left)
	}
	return fmt.Errorf("%w: global table %q is being opened", ErrRestoring, t.Store)
}
