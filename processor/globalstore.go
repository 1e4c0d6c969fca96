package processor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/internal/store"
)

// open opens the store, and wipes it if it does not fit the topic. It is called
// again from time to time: a topic that was made anew is noticed so.
func (t *global) open(ctx context.Context, client sarama.Client) error {
	partitions, err := client.Partitions(t.Topic)
	if err != nil {
		return fmt.Errorf("topic %q: %w", t.Topic, err)
	}
	source, err := t.incarnation(ctx, t.Topic)
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
		held := kafka.Log{Client: client, Topic: t.Topic, Partition: int32(p)}
		if starts[p], ends[p], err = held.Bounds(); err != nil {
			return err
		}
		t.cursors, t.goals = append(t.cursors, &kafka.Cursor{Log: held, Next: starts[p], Epoch: -1}), append(t.goals, -1)
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
	if cut := s.Cut(); cut != "" {
		t.config.Logger.Warn("what a local global table wrote last was cut off, by a kill or by damage: it is read again from its topic", "table", t.Store, "reason", cut)
	}
	if err := s.Begin(t.home(t.Topic, source, allPartitions, "").String()); err != nil {
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
	if err == nil && o.Position > 0 {
		var is home
		if is, err = parseHome(o.Source); err == nil {
			err = t.home(t.Topic, source, allPartitions, "").differs(is)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case o.Position == 0: // it has no rows
		return nil, nil
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
	t.news.Ring()
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
