package processor

import (
	"errors"
	"maps"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
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
	f.bare, found, err = f.record(f.m.writer, f.bare)
	return found, err
}

// record tells whether there is a committed record at or behind an offset, and
// before which offset there is none.
func (in *input) record(client sarama.Client, from int64) (at int64, found bool, err error) {
	held := kafka.Log{Client: client, Topic: in.topic, Partition: in.claim.Partition()}
	for {
		next, stable, err := held.Read(from, 0, func(*sarama.Record, int64, time.Time) error { return errFound })
		switch {
		case errors.Is(err, errFound):
			return from, true, nil
		case err != nil:
			return from, false, err
		case next == from || next >= stable:
			return next, false, nil
		}
		from = next
	}
}

const lagTick = 500 * time.Millisecond

// measureLag looks into the logs of inputs that stand still shortly before their
// end: where only markers and aborted records are left, nothing is. It ends with
// the session, which does not wait for it: it changes nothing but what is shown.
func (s *session) measureLag() {
	type standing struct{ at, end int64 }
	before, looked := map[*input]standing{}, map[*input]standing{}
	for sleep(s.ctx, lagTick) == nil {
		now := map[*input]standing{}
		for _, t := range *s.listed.Load() {
			for _, in := range t.claims() {
				is := standing{in.progress.Load(), in.claim.HighWaterMarkOffset()}
				now[in] = is
				if lag := in.lag(); lag == 0 || lag > nearEnd || before[in] != is || looked[in] == is {
					continue
				}
				at, _, err := in.record(s.client, max(is.at, in.barren.Load()))
				if err != nil {
					s.log.Debug("looking for records before the end of an input", "error", err)
				}
				in.barren.Store(at)
				looked[in] = is
			}
		}
		maps.DeleteFunc(looked, func(in *input, _ standing) bool { return now[in] == standing{} })
		before = now
	}
}
