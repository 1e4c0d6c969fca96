package store_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/tidemark-dev/tidemark/internal/store"
)

// ways are the ways of keeping a store, from the cheapest on.
var ways = []struct {
	name    string
	options store.Options
}{
	{"plain", store.Options{}},
	{"ordered", store.Options{Ordered: true}},
	{"deadline", store.Options{Deadline: after}},
	{"deadline by key", store.Options{DeadlineByKey: true, Deadline: func(key, _ []byte, _ int64) int64 { return int64(key[len(key)-1]) }}},
}

// after is a deadline a while after a row's last change.
func after(_, _ []byte, time int64) int64 { return time + 1_000_000 }

func bench(b *testing.B, o store.Options) *store.Store {
	s, _, err := store.Open(b.TempDir(), o, fits)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close(false) })
	return s
}

// fill puts rows in a scattered order, a transaction for each 10,000.
func fill(b *testing.B, s *store.Store, from, rows int) {
	value := make([]byte, 100)
	var key [16]byte
	for i := from; i < from+rows; i++ {
		binary.BigEndian.PutUint64(key[:], uint64(i)*0x9e3779b97f4a7c15)
		s.Put(key[:], value, int64(i))
		if i%10_000 == 9_999 {
			if err := s.Commit(int64(i + 1)); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// One operation is a row of its own key, into LevelDB.
func BenchmarkNewRow(b *testing.B) {
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			s := bench(b, way.options)
			b.ReportAllocs()
			fill(b, s, 0, b.N)
			s.Commit(1 << 40)
			s.Commit(1 << 40) // waits
		})
	}
}

// One operation reads one of 1000 rows and writes it, with a later time.
func BenchmarkCountedRow(b *testing.B) {
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			s := bench(b, way.options)
			b.ReportAllocs()
			value := make([]byte, 100)
			for i := range b.N {
				key := fmt.Appendf(nil, "key-%d", i%1000)
				if _, _, err := s.Get(key); err != nil {
					b.Fatal(err)
				}
				s.Put(key, value, int64(i))
				if i%10_000 == 9_999 {
					s.Commit(int64(i))
				}
			}
			s.Commit(1 << 40)
			s.Commit(1 << 40)
		})
	}
}

// One operation reads 10 rows of 100,000, a tenth of them in the open transaction.
func BenchmarkScan(b *testing.B) {
	s := bench(b, store.Options{Ordered: true})
	fill(b, s, 0, 95_000)
	s.Commit(1 << 40) // the last 5,000 are in the open one
	fill(b, s, 95_000, 4_999)
	b.ReportAllocs()
	var from [8]byte
	for i := 0; b.Loop(); i++ {
		binary.BigEndian.PutUint64(from[:], uint64(i)*0x9e3779b97f4a7c15)
		n := 0
		for _, err := range s.Scan(from[:], nil) {
			if n++; err != nil || n == 10 {
				break
			}
		}
	}
}

// One operation learns that no row is due.
func BenchmarkDue(b *testing.B) {
	s := bench(b, store.Options{Deadline: after})
	fill(b, s, 0, 104_000)
	b.ReportAllocs()
	for b.Loop() {
		for r, err := range s.Due() {
			if err != nil || after(r.Key, r.Value, r.Time) > 0 {
				break
			}
		}
	}
}

// One operation puts a row and deletes the one that is due then, as a table does
// whose rows live for a while.
func BenchmarkExpire(b *testing.B) {
	s := bench(b, store.Options{Deadline: after})
	fill(b, s, 0, 100_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		fill(b, s, 100_000+i, 1)
		for r, err := range s.Due() {
			if err != nil || r.Time > int64(i) {
				break
			}
			s.Put(r.Key, nil, 0)
		}
	}
}
