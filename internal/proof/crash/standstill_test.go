//go:build unix

package main

import (
	"testing"
	"time"
)

func TestStandstill(t *testing.T) {
	at := func(seconds ...int) (times []time.Time) {
		for _, s := range seconds {
			times = append(times, time.Unix(int64(s), 0))
		}
		return times
	}
	for name, c := range map[string]struct {
		in   []int64
		out  []time.Time
		seen []arrival
		want float64
	}{
		"the first waits for the start": {[]int64{0}, at(9), []arrival{{1, time.Unix(1, 0)}}, 0},
		"a record waits":                {[]int64{0, 1}, at(1, 9), []arrival{{1, time.Unix(1, 0)}, {2, time.Unix(3, 0)}}, 6},
		"nothing is there to do":        {[]int64{0, 5}, at(1, 9), []arrival{{1, time.Unix(1, 0)}, {6, time.Unix(9, 0)}}, 0},
		"both could be read":            {[]int64{0, 1}, at(2, 9), []arrival{{2, time.Unix(1, 0)}}, 7},
		"after the watch":               {[]int64{0, 1}, at(1, 90), []arrival{{1, time.Unix(1, 0)}}, 0},
	} {
		var s standstill
		s.ofEngine(2, c.in, c.out, c.seen)
		if s.Seconds != c.want {
			t.Errorf("%s: %v s, want %v", name, s.Seconds, c.want)
		}
	}
}
