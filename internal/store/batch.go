package store

import (
	"errors"
	"fmt"
)

const (
	cacheBytes = 4 << 20
	rowCost    = 64 // bytes of a map entry and its slices, about
)

// Commit hands the open transaction, which Kafka has committed, to LevelDB as
// one batch, with the changelog offset after its last row. LevelDB writes in
// the background: a crash before that is repaired from the changelog. The error
// is that of the batch before.
func (s *Store) Commit(position int64) error {
	if err := s.wait(); err != nil {
		return err
	}
	s.renew()
	s.lower(s.open.due)
	saving, stale := s.open, s.stale
	s.open = newOverlay(s.options, min(len(saving.rows), 64<<10))
	if len(stale) > 0 {
		s.stale = map[string]struct{}{}
	}
	s.mu.Lock()
	s.saving, s.position, s.saved = saving, position, make(chan struct{})
	s.mu.Unlock()
	go s.save(saving, stale, position)
	return nil
}

// wait returns when LevelDB has everything that is committed.
func (s *Store) wait() error {
	s.mu.RLock()
	saved := s.saved
	s.mu.RUnlock()
	<-saved
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.saveErr
}

func (s *Store) save(o *overlay, stale map[string]struct{}, position int64) {
	order, err := s.write(o, stale, position)
	err = s.fault(err)
	if err != nil && !errors.Is(err, ErrDamaged) && s.options.Failed != nil {
		s.options.Failed(fmt.Errorf("writing to LevelDB: %w", err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(s.saved)
	if err != nil {
		s.saveErr = fmt.Errorf("writing to LevelDB: %w", err)
		return // saving stays readable
	}
	if s.asked.Load() {
		for _, i := range order {
			s.keep(&o.rows[i])
		}
	}
	s.saving = nil
}

// write writes the last row of each key, in the order of keys.
func (s *Store) write(o *overlay, stale map[string]struct{}, position int64) (order []int32, err error) {
	order = o.inOrder(s.order[:0])
	s.order = order
	s.batch.Reset()
	if err := s.makeRoom(o, order); err != nil {
		return nil, err
	}
	for key := range stale {
		s.batch.Delete([]byte(key)) // before the rows, which may have the same deadline again
	}
	for _, i := range order {
		r := &o.rows[i]
		if o.due != nil {
			if err := s.reschedule(o, r.Key, o.deadlines[i]); err != nil {
				return nil, err
			}
		}
		s.key = rowKey(s.key[:0], r.Key)
		if r.Value == nil {
			s.batch.Delete(s.key)
		} else {
			s.value = encode(s.value[:0], r.Value, r.Time)
			s.batch.Put(s.key, s.value)
		}
	}
	if o.text != "" {
		s.batch.Put(noteKey, []byte(o.text))
	}
	s.batch.Put(positionKey, positionValue(position))
	return order, s.db.Write(&s.batch, nil)
}

// makeRoom gives the batch memory for what is going to be in it. A batch of many
// rows grows by a small part of its size each time, and copies itself each time.
func (s *Store) makeRoom(o *overlay, order []int32) error {
	const few, cost = 3000, 32 // cost is what there is beside a key and a value
	if len(order) < few {
		return nil
	}
	size := 0
	for _, i := range order {
		r := &o.rows[i]
		size += len(r.Key) + len(r.Value) + cost
		if o.due != nil { // the old deadline goes, and the new one comes
			size += 2 * (len(r.Key) + cost)
		}
	}
	if size <= cap(s.batch.Dump()) {
		return nil
	}
	return s.batch.Load(make([]byte, 0, size))
}

// keep puts a row into the cache.
func (s *Store) keep(r *Row) {
	v, ok := s.cache[string(r.Key)]
	if !ok {
		if s.cached > cacheBytes {
			clear(s.cache)
			s.cached = 0
		}
		s.cached += len(r.Key) + rowCost
	}
	old := len(v)
	switch {
	case r.Value == nil:
		v = nil
	case v == nil:
		v = encode(make([]byte, 0, len(r.Value)+timeBytes+8), r.Value, r.Time)
	default:
		v = encode(v[:0], r.Value, r.Time)
	}
	s.cached += len(v) - old
	s.cache[string(r.Key)] = v
}
