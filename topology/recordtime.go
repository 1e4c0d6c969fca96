package topology

import (
	"fmt"
	"math"
	"time"
)

// MaxTime is the latest time of a record, in milliseconds since 1970, which is the
// earliest: the end of April 11, 2262. Kafka itself takes any 64 bits, but sarama
// writes times by way of nanoseconds, and time.Duration holds nothing longer. Ends of
// windows, grace and TTLs may lie beyond it, and overflow nowhere.
const MaxTime = math.MaxInt64 / int64(time.Millisecond)

// timeOf is a time as functions see it.
func timeOf(millis int64) time.Time { return time.UnixMilli(millis).UTC() }

// millis is a time as Kafka has it, whose milliseconds fit 64 bits.
func millis(t time.Time) int64 { return t.UnixMilli() }

// recordTime returns the time of a record in milliseconds, if it can be one.
func recordTime(t time.Time) (int64, error) {
	s, ms := t.Unix(), t.UnixMilli()
	if s < 0 || s > MaxTime/1000 || ms > MaxTime {
		return 0, wrongTime(t)
	}
	return ms, nil
}

func wrongTime(t time.Time) error {
	if t.Unix() < 0 {
		return fmt.Errorf("its time, %s, is before 1970: is it sent without one?", t.UTC().Format(time.RFC3339))
	}
	return fmt.Errorf("its time, %d seconds after 1970, is later than 2262: is it in milliseconds?", t.Unix())
}

// ahead refuses a time that is more than a topic's MaxAhead later than the time of
// day.
func (t Topic[K, V]) ahead(at int64, now time.Time) error {
	if t.MaxAhead <= 0 || at-now.UnixMilli() <= t.MaxAhead.Milliseconds() {
		return nil
	}
	return fmt.Errorf("its time, %s, is later than the time of day, %s, by more than MaxAhead of topic %q, which is %v: correct the clock that set it, or MaxAhead",
		timeOf(at).Format(time.RFC3339), now.UTC().Format(time.RFC3339), t.Name, t.MaxAhead)
}

// happened returns when a record of the topic happened: what its Time says, or the
// record's own time if it says nothing, or if the record is not shown to functions.
func (t Topic[K, V]) happened(it *item[K, V], r *Raw, now func() time.Time) (int64, error) {
	at := r.Time
	if t.Time != nil {
		it.key.load(r.Key)
		it.value.load(r.Value)
		// A step refuses what cannot be decoded.
		if it.key.decode() == nil && it.value.decode() == nil && !it.value.missing && (!it.key.missing || !it.key.nillable) {
			said := t.Time(Record[K, V]{Key: it.key.v, Value: it.value.v, Time: r.Time, Headers: r.Headers, Position: r.Position})
			if !said.IsZero() {
				at = said
			}
		}
	}
	millis, err := recordTime(at)
	if err == nil && t.MaxAhead > 0 {
		err = t.ahead(millis, now())
	}
	return millis, err
}
