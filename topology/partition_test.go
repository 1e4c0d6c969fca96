package topology_test

import (
	"fmt"
	"testing"

	"github.com/tidemark-dev/tidemark/topology"
)

// The hashes are those of org.apache.kafka.common.utils.UtilsTest.
func TestPartitionIsJavas(t *testing.T) {
	for key, hash := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		for _, n := range []int32{1, 2, 3, 12, 1 << 30} {
			if got, want := topology.Partition([]byte(key), n), (hash&0x7fffffff)%n; got != want {
				t.Errorf("Partition(%q, %d) = %d, want %d", key, n, got, want)
			}
		}
	}
}

func TestPartitionIsInRange(t *testing.T) {
	for i := range 1000 {
		if p := topology.Partition([]byte(fmt.Sprint("testid-", i)), 7); p < 0 || p >= 7 {
			t.Fatalf("partition %d of 7", p)
		}
	}
	if p := topology.Partition(nil, 0); p != 0 {
		t.Errorf("partition %d of none", p)
	}
}

func BenchmarkPartition(b *testing.B) {
	key := []byte("testid-01")
	b.ReportAllocs()
	for b.Loop() {
		topology.Partition(key, 12)
	}
}
