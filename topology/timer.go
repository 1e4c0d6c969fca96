package topology

import (
	"fmt"
	"math"
	"time"
)

// A timer calls a step when a clock has come to the next multiple of its
// interval, once for several that were missed. The first record of a partition is
// later than every multiple before it.
type timer struct {
	at       *node
	interval int64 // in milliseconds
	wall     bool  // by the time of day; else by the task's clock
	fire     func(now int64) error

	timerState
	saved timerState // when the call under way began
}

type timerState struct {
	next    int64 // math.MinInt64 for one that has not looked at its clock yet
	stopped bool
}

// every adds a timer of a step.
func (k *Task) every(at *node, interval time.Duration, by Clock, fire func(now int64) error) *timer {
	t := &timer{at: at, interval: interval.Milliseconds(), wall: by == WallTime, fire: fire}
	t.next = math.MinInt64
	if !t.wall {
		// What was due by the clock that was restored, has been run.
		if c := k.timed(); c.now != math.MinInt64 {
			t.set(c.now)
		}
	}
	k.timers = append(k.timers, t)
	return t
}

// set makes the next multiple after now the timer's next time.
func (t *timer) set(now int64) { t.next = (floor(now, t.interval) + 1) * t.interval }

func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// timed returns the task's own clock, which follows its records from now on.
func (k *Task) timed() *clock {
	if k.stream == nil {
		k.stream = k.clock(taskClock)
	}
	return k.stream
}

// fire runs the timers that are due by one of the clocks, in the order of the
// times at which they were.
func (k *Task) fire(wall bool, now int64) error {
	for {
		var due *timer
		for _, t := range k.timers {
			if t.wall == wall && !t.stopped && t.next <= now && (due == nil || t.next < due.next) {
				due = t
			}
		}
		if due == nil {
			return nil
		}
		first := due.next == math.MinInt64
		due.set(now)
		if wall && first {
			continue
		}
		err := k.unasked(fmt.Sprintf("%s: timer of %v", due.at.name, time.Duration(due.interval)*time.Millisecond), func() error {
			return due.fire(now)
		})
		if err != nil {
			return err
		}
	}
}

// unasked runs what no record is to blame for: its errors say who ran instead.
func (k *Task) unasked(who string, run func() error) error {
	record := k.record
	k.record, k.who = Raw{}, who
	err := run()
	k.record, k.who = record, ""
	return err
}

// Advance runs the timers that are due by the time of day. Its errors are not a
// record's.
func (k *Task) Advance(now time.Time) (Writes, error) {
	k.time = math.MinInt64 // it moves no clock of records
	return k.call(func() error { return k.fire(true, now.UnixMilli()) })
}

// NextAdvance returns when Advance has something to do, and false if it never
// has. Before the first Advance it is the zero time.
func (k *Task) NextAdvance() (at time.Time, ok bool) {
	next := int64(never)
	for _, t := range k.timers {
		if t.wall && !t.stopped {
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
