package kafka

import (
	"testing"
	"time"
)

// What sarama makes of a record's time is undone, whatever the batch begins with.
func TestTime(t *testing.T) {
	const year2262 = 9_223_372_036_854
	times := []int64{0, 1, 999, 1_764_277_200_000, year2262, 9_999_999_999_999, 253_402_300_799_999, 1_764_277_200_000_000}
	for _, first := range append([]int64{-1}, times...) {
		for _, at := range times {
			begin := time.Time{} // what sarama reads a negative time as
			if first >= 0 {
				begin = time.UnixMilli(first)
			}
			delta := time.Duration(at-first) * time.Millisecond // wraps, as sarama's does
			got := Time(begin.Add(delta)).UnixMilli()
			if first < 0 && at >= year2262 {
				if got >= 0 && got <= year2262 {
					t.Errorf("%d in a batch that begins with %d: %d is taken for a good time", at, first, got)
				}
			} else if got != at {
				t.Errorf("%d in a batch that begins with %d: got %d", at, first, got)
			}
		}
	}
}
