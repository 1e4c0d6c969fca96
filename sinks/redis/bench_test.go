//go:build unix

package redis_test

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/topology"
)

// BenchmarkApply measures a step of rows of about 80 bytes. cpu-ns/row is the
// time of this process, without the server's.
func BenchmarkApply(b *testing.B) {
	url := realRedis(b)
	for _, rows := range []int{1, 1000, 10000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			sink := newRedis(b, url)
			batch := opened(b, sink, "bench")
			for i := range rows {
				batch.Rows = append(batch.Rows, topology.Raw{
					Key:   []byte(fmt.Sprintf("testid-%05d", i)),
					Value: []byte(strings.Repeat("v", 60)),
				})
			}
			batch.To = "0"
			if err := sink.Apply(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			cpu := processTime(b)
			for i := range b.N {
				batch.From, batch.To = batch.To, strconv.Itoa(i+1)
				if err := sink.Apply(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			cpu = processTime(b) - cpu
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N*rows), "cpu-ns/row")
			b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func processTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
