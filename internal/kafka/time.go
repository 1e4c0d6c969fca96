package kafka

import "time"

// Time returns the time of a record that sarama has read, to the millisecond.
//
// sarama keeps the distance to the first record of the batch as nanoseconds in 64
// bits, where more than 292 years wrap around. A distance is a whole number of
// milliseconds, and 2^64 nanoseconds are not: what is left over tells how often
// it has wrapped. A batch whose first time is negative is read as if it began
// in the year 1: that is taken for -1, Kafka's sign for no time.
func Time(read time.Time) time.Time {
	const (
		turn  = 18_446_744_073_709 // milliseconds of 2^64 nanoseconds
		rest  = 551_616            // and nanoseconds
		turns = 15_625             // after which the rest is whole milliseconds again
	)
	over := int64(read.Nanosecond()) % 1e6
	if over == 0 {
		if first := (time.Time{}); read.Year() < 400 {
			return time.UnixMilli(read.UnixMilli() - first.UnixMilli() - 1)
		}
		return read
	}
	for n := int64(1); n <= turns/2; n++ {
		for _, k := range [2]int64{n, -n} {
			if ns := over + k*rest; ns%1e6 == 0 {
				return time.UnixMilli(read.UnixMilli() + k*turn + ns/1e6)
			}
		}
	}
	return read
}
