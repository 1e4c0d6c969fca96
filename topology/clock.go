package topology

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
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
	var texts []string
	for _, c := range k.clocks {
		if c.now != math.MinInt64 {
			texts = append(texts, c.name+":"+strconv.FormatInt(c.now, 36))
		}
	}
	slices.Sort(texts)
	return strings.Join(texts, ",")
}

// parseClocks reads what Clocks wrote.
func parseClocks(text string) (map[string]int64, error) {
	clocks := map[string]int64{}
	if text == "" {
		return clocks, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, now, ok := strings.Cut(part, ":")
		if !ok {
			return nil, fmt.Errorf("clocks %q: %q has no colon", text, part)
		}
		at, err := strconv.ParseInt(now, 36, 64)
		if err != nil {
			return nil, fmt.Errorf("clocks %q: %w", text, err)
		}
		clocks[name] = at
	}
	return clocks, nil
}

// SetBack returns clocks, as [Task.Clocks] gives them, of which none is later than
// some time. What has been late or was expired by them stays so.
func SetBack(clocks string, to time.Time) (string, error) {
	all, err := parseClocks(clocks)
	if err != nil {
		return "", err
	}
	k := &Task{}
	for name, now := range all {
		k.clocks = append(k.clocks, &clock{name: name, now: min(now, millis(to))})
	}
	return k.Clocks(), nil
}
