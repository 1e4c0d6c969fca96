package topology

import (
	"math"
	"time"
)

// A timer calls a step when a clock has come to the next multiple of its
// interval, once for several that were missed.
type timer struct {
	interval int64 // in milliseconds
	wall     bool  // by the time of day; else by the task's clock
	next     int64 // math.MinInt64 until the clock is known
	fire     func(now int64) error
}

// passed runs what is due now that a record of this time was processed.
func (k *Task) passed(at int64) error {
	for _, t := range k.timers {
		if t.wall {
			continue
		}
		if err := t.due(k.clock(taskClock).observe(at)); err != nil {
			return err
		}
	}
	return nil
}

func (t *timer) due(now int64) error {
	if now < t.next {
		return nil
	}
	known := t.next != math.MinInt64
	t.next = (floor(now, t.interval) + 1) * t.interval
	if !known {
		return nil
	}
	return t.fire(now)
}

func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// Advance runs the timers that are due by the time of day. Its errors are not a
// record's.
func (k *Task) Advance(now time.Time) (Writes, error) {
	return k.call(func() error {
		for _, t := range k.timers {
			if !t.wall {
				continue
			}
			if err := t.due(now.UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
}

// NextAdvance returns when Advance has something to do, and false if it never
// has. Before the first Advance it is the zero time.
func (k *Task) NextAdvance() (at time.Time, ok bool) {
	next := int64(never)
	for _, t := range k.timers {
		if t.wall {
			next = min(next, t.next)
		}
	}
	switch next {
	case never:
		return time.Time{}, false
	case math.MinInt64:
		return time.Time{}, true
	}
	return time.UnixMilli(next), true
}
