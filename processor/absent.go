package processor

import (
	"errors"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/txn"
)

// An absence is what is known of an input of which nothing has arrived: whether
// the task's other inputs have to wait for it.
type absence struct {
	excused bool      // they need not
	emptied time.Time // since when nothing is queued
	dry     time.Time // since when there is known to be nothing on the broker
	coming  time.Time // when there was known to be something
}

// missing says whether the others can go on, and else when to ask again whatever
// arrives, 0 for never. That takes an answer of the broker at times, only if it
// is needed.
func (f *feed) missing(now time.Time, needed bool) (excused bool, again time.Duration) {
	idle := f.m.config.MaxTaskIdle
	if idle < 0 {
		return true, 0
	}
	if f.emptied.IsZero() {
		f.emptied = now
	}
	nothing, again := f.nothing(now, needed)
	if !nothing {
		f.dry = time.Time{}
		return false, again
	}
	if f.dry.IsZero() {
		f.dry = now
	}
	left := f.dry.Add(idle).Sub(now)
	return left <= 0, max(0, left)
}

// nothing tells whether the broker is known to have no record that could be
// fetched. The last offsets may be those of markers and of aborted records,
// which a consumer hides: then the log itself is looked at, once for each end
// that the consumer has seen. Far from the end there is rather a fetch under way.
func (f *feed) nothing(now time.Time, needed bool) (nothing bool, again time.Duration) {
	end := f.claim.HighWaterMarkOffset()
	f.bare = max(f.bare, f.next)
	switch {
	case end <= f.bare || end == f.looked:
		return true, 0
	case !needed:
		return false, 0
	case now.Sub(f.coming) < time.Second: // or it was deleted meanwhile
		return false, time.Second
	}
	if wait := f.emptied.Add(fetchTime).Sub(now); wait > 0 && end-f.bare > nearEnd {
		return false, wait
	}
	found, err := f.lookUp()
	switch {
	case err != nil:
		f.m.log.Debug("looking for records that have not arrived", "error", err)
		return false, fetchTime
	case found:
		f.coming = now
		return false, time.Second
	}
	f.looked = end
	return true, 0
}

var errFound = errors.New("there is a record")

// lookUp looks for a committed record behind those that have arrived.
func (f *feed) lookUp() (found bool, err error) {
	held := txn.Log{Client: f.m.writer, Topic: f.topic, Partition: f.claim.Partition()}
	for {
		next, stable, err := held.Read(f.bare, 0, func(*sarama.Record, int64, time.Time) error { return errFound })
		switch {
		case errors.Is(err, errFound):
			return true, nil
		case err != nil:
			return false, err
		case next == f.bare || next >= stable:
			f.bare = next
			return false, nil
		}
		f.bare = next
	}
}
