package follow_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/tidemark-dev/tidemark/topology"
)

// A target is a sink in memory, for one partition. Tests set what it answers.
type target struct {
	mu    *sync.Mutex // of the trial
	rows  map[string]string
	place topology.Place
	stale []string // names that are no rows

	down  error                            // of every call
	takes func(batch topology.Batch) error // of Apply, nil for everything
	opens int                              // calls of Open
	steps []string                         // "<to>: <keys>" of each step with rows
}

func (*target) String() string { return "target" }

func (s *target) Open(_ context.Context, _ topology.Source, epoch int64) (topology.Place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens++
	switch {
	case s.down != nil:
		return topology.Place{}, s.down
	case epoch == 0:
		epoch = s.place.Epoch + 1
	case epoch < s.place.Epoch:
		return topology.Place{}, topology.ErrFenced
	}
	s.place.Epoch = epoch
	return s.place, nil
}

func (s *target) Apply(_ context.Context, b topology.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.down != nil:
		return s.down
	case s.place.Epoch > b.Epoch:
		return topology.ErrFenced
	case s.place == topology.Place{Epoch: b.Epoch, Position: b.To} && b.From != b.To:
		return topology.ErrDuplicate
	case s.place != topology.Place{Epoch: b.Epoch, Position: b.From}:
		return topology.ErrGap
	}
	if s.takes != nil {
		if err := s.takes(b); err != nil {
			return err
		}
	}
	var keys []string
	for _, row := range b.Rows {
		if keys = append(keys, string(row.Key)); row.Value == nil {
			delete(s.rows, string(row.Key))
		} else {
			s.rows[string(row.Key)] = string(row.Value)
		}
	}
	s.stale = slices.DeleteFunc(s.stale, func(name string) bool {
		return slices.ContainsFunc(b.Stale, func(b []byte) bool { return string(b) == name })
	})
	if len(keys) > 0 {
		s.steps = append(s.steps, fmt.Sprint(keys))
	}
	s.place.Position = b.To
	return nil
}

func (s *target) Keys(context.Context, topology.Source) iter.Seq2[topology.Held, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []topology.Held
	for _, name := range s.stale {
		all = append(all, topology.Held{Name: []byte(name)})
	}
	for _, key := range slices.Sorted(maps.Keys(s.rows)) {
		all = append(all, topology.Held{Name: []byte(key), Key: []byte(key)})
	}
	return func(yield func(topology.Held, error) bool) {
		for _, held := range all {
			if !yield(held, nil) {
				return
			}
		}
	}
}
