package replica

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidemark-dev/tidemark/internal/store"
)

// A Span is the offsets that a partition of the topic has: from Start up to, not
// including, End.
type Span struct{ Start, End int64 }

// A Check says why rows of another home, which are at a position of the topic, are
// to be wiped, or why nobody may go on with them. It is asked after it is known
// that they are of the same topic.
type Check func(was Home, position int64) (wipe, refuse error)

// Open opens the store. What is on the disk is used as it is, unless it is damaged
// or cannot be brought up to date from the topic, whose partitions have the spans:
// then it is wiped, with a line in the log. A check may be nil.
//
// Home says whose the rows are from now on, but for the topic and the partition.
func (r *Replica) Open(home Home, spans []Span, check Check) error {
	home.Topic, home.Partition = r.config.Topic, r.config.Partition
	r.home = home
	var next []int64
	var refused error
	s, wiped, err := store.Open(r.config.Dir, r.config.Options, func(o store.Origin) (wipe error) {
		next, wipe, refused = r.fit(o, spans, check)
		return wipe
	})
	if err != nil {
		return err
	}
	if refused != nil {
		return errors.Join(refused, s.Close(false))
	}
	r.told(wiped, s)
	if err := s.Begin(home.String()); err != nil {
		return errors.Join(err, s.Close(false))
	}
	next = append(next, make([]int64, len(spans)-len(next))...)
	for i, span := range spans {
		next[i] = max(next[i], span.Start)
	}
	r.store, r.filled = s, s.Position() > 0
	r.positions.Store(&next)
	return nil
}

// Next returns the offset at which to go on, by partition.
func (r *Replica) Next() []int64 { return slices.Clone(*r.positions.Load()) }

// told says what was found on the disk.
func (r *Replica) told(wiped string, s *store.Store) {
	logger := r.config.Logger.With("table", r.config.Table)
	what, again := "global table", "read from its topic"
	if !r.all() {
		logger = logger.With("partition", r.config.Partition, "position", s.Position())
		what, again = "table", "restored from its changelog"
	}
	if wiped != "" {
		logger.Warn(fmt.Sprintf("local %s wiped, to be %s", what, again), "reason", wiped)
	}
	if cut := s.Cut(); cut != "" {
		logger.Warn(fmt.Sprintf("what a local %s wrote last was cut off, by a kill or by damage: it is %s", what, again), "reason", cut)
	}
}

// fit returns how far a store is in the topic, by partition, or why it is to be
// wiped, or why nobody may go on.
func (r *Replica) fit(o store.Origin, spans []Span, check Check) (next []int64, wipe, refuse error) {
	next = []int64{o.Position}
	if r.all() {
		if next, wipe = parseNote(o.Note); wipe != nil {
			return nil, wipe, nil
		}
	}
	if o.Position == 0 { // it has no rows
		return nil, nil, nil
	}
	is, err := parseHome(o.Source)
	if err == nil {
		err = r.home.differs(is)
	}
	if err == nil && len(next) > len(spans) {
		err = fmt.Errorf("it has %d partitions, and topic %s has %d", len(next), r.config.Topic, len(spans))
	}
	if err != nil {
		return nil, err, nil
	}
	if check != nil {
		if wipe, refuse = check(is, o.Position); wipe != nil || refuse != nil {
			return nil, wipe, refuse
		}
	}
	for i, at := range next {
		if err := r.reaches(at, i, spans[i], o.Saved); err != nil {
			return nil, err, nil
		}
	}
	return next, nil, nil
}

// reaches says why rows that are at an offset, as of some time, cannot be brought up
// to date.
func (r *Replica) reaches(at int64, i int, span Span, saved time.Time) error {
	place, topic := fmt.Sprintf("%d, but its changelog", at), "the changelog"
	if r.all() {
		place, topic = fmt.Sprintf("%s/%d@%d, which", r.config.Topic, i, at), "topic "+r.config.Topic
	}
	switch {
	case at > span.End:
		return fmt.Errorf("it is at %s ends at %d", place, span.End)
	case at < span.Start:
		return fmt.Errorf("it is at %s begins at %d", place, span.Start)
	case at < span.End && time.Since(saved) > r.config.Retention:
		return fmt.Errorf("it was left %v ago, and %s keeps tombstones for %v", time.Since(saved).Round(time.Second), topic, r.config.Retention)
	}
	return nil
}
