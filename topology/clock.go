package topology

import (
	"math"
	"time"

	"github.com/tidemark-dev/tidemark/topology/internal/wire"
)

// A clock is the newest time that a step has seen. It stands still without
// records, and survives a restart: the processor commits it with the offsets.
type clock struct {
	name  string
	now   int64 // in milliseconds since 1970; math.MinInt64 before the first record
	saved int64 // when the call under way began
}

const taskClock = "" // the clock of the whole task

// clock returns the task's clock of a name: that of a store.
func (k *Task) clock(name string) *clock {
	for _, c := range k.clocks {
		if c.name == name {
			return c
		}
	}
	c := &clock{name: name, now: math.MinInt64, saved: math.MinInt64}
	if now, ok := k.restored[name]; ok {
		c.now, c.saved = now, now
	}
	k.clocks = append(k.clocks, c)
	return c
}

// observe moves the clock to a record's time, if that is newer, and returns the
// clock's.
func (c *clock) observe(time int64) int64 {
	c.now = max(c.now, time)
	return c.now
}

// Clocks returns the newest times that the task's steps have seen, as text. It
// is committed with the offsets of the task's inputs, and given to the next
// task of the partition: what was late stays late. It is "" for a group that
// does not look at times.
func (k *Task) Clocks() string {
	times := map[string]int64{}
	for _, c := range k.clocks {
		if c.now != math.MinInt64 {
			times[c.name] = c.now
		}
	}
	return wire.FormatClocks(times)
}

// SetBack returns clocks, as [Task.Clocks] gives them, of which none is later than
// some time. What has been late or was expired by them stays so.
func SetBack(clocks string, to time.Time) (string, error) {
	times, err := wire.ParseClocks(clocks)
	if err != nil {
		return "", err
	}
	for name, now := range times {
		times[name] = min(now, millis(to))
	}
	return wire.FormatClocks(times), nil
}
