package store_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/util"

	"github.com/tidemark-dev/tidemark/internal/store"
)

// A model is what a store should be, in maps.
type model struct {
	t         *testing.T
	rnd       *rand.Rand
	wide      bool // has many keys in few transactions
	byKey     bool // has deadlines that depend on nothing else
	dir       string
	options   store.Options
	store     *store.Store
	position  int64
	committed map[string]store.Row
	rows      map[string]store.Row // as the open transaction sees them
}

// TestModel drives stores and their models by the same random calls.
func TestModel(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			m := &model{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), wide: seed%3 == 0, byKey: seed%4 == 3, dir: t.TempDir(), committed: map[string]store.Row{}, rows: map[string]store.Row{}}
			m.options = store.Options{EveryChange: seed%5 < 2, Ordered: true, DeadlineByKey: m.byKey}
			m.deadline(1)
			m.open()
			for range 2000 {
				m.step()
				if t.Failed() {
					t.FailNow()
				}
			}
			m.restart()
			if err := m.store.Close(false); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// deadline sets a Deadline under which some rows are never due, many at once, and
// some before 1970.
func (m *model) deadline(n int64) {
	m.options.DeadlineName = fmt.Sprint(n)
	m.options.Deadline = func(key, value []byte, time int64) int64 {
		if m.byKey {
			value, time = key, -3
		}
		if len(value) == 0 || value[0]%4 == 0 {
			return math.MaxInt64
		}
		return time + n*int64(value[0]%4)
	}
}

func (m *model) open() {
	s, wiped, err := store.Open(m.dir, m.options, fits)
	if err != nil || wiped != "" {
		m.t.Fatal(err, wiped)
	}
	m.store = s
}

func (m *model) step() {
	switch n := m.rnd.IntN(1000); {
	case n < 600:
		m.put()
	case m.wide && m.rnd.IntN(5) > 0:
		m.put()
	case n < 700:
		m.get()
	case n < 800:
		m.scan()
	case n < 900:
		m.due()
	case n < 930:
		m.store.Unsent()
	case n < 975:
		m.commit()
	case n < 985:
		m.store.Discard()
		m.rows = maps.Clone(m.committed)
	case n < 988:
		m.restart()
	default:
		m.snapshot()
	}
}

// key returns a key of 0 to 3 bytes, of which there are about 150, or of 5.
func (m *model) key() []byte {
	key := make([]byte, min(3, m.rnd.IntN(12)))
	if m.wide && m.rnd.IntN(4) > 0 {
		key = make([]byte, 5)
	}
	for i := range key {
		key[i] = []byte{0, 'a', 'b', 'c', 255}[m.rnd.IntN(5)]
	}
	return key
}

func (m *model) put() {
	key, time := m.key(), m.rnd.Int64N(40)-10
	if m.rnd.IntN(4) == 0 {
		m.store.Put(key, nil, time)
		delete(m.rows, string(key))
		return
	}
	value := make([]byte, m.rnd.IntN(20))
	for i := range value {
		value[i] = byte(m.rnd.IntN(256))
	}
	m.store.Put(key, value, time)
	m.rows[string(key)] = store.Row{Key: key, Value: value, Time: time}
}

func (m *model) get() {
	key := m.key()
	value, time, err := m.store.Get(key)
	m.same("get", store.Row{Key: key, Value: value, Time: time}, m.rows[string(key)], err)
	value, time, position, err := m.store.Committed(key)
	m.same("committed", store.Row{Key: key, Value: value, Time: time}, m.committed[string(key)], err)
	if position != m.position {
		m.t.Errorf("committed at %d, want %d", position, m.position)
	}
}

// same compares rows, of which want is nil and no more if there is none.
func (m *model) same(where string, got, want store.Row, err error) {
	m.t.Helper()
	if err != nil || !bytes.Equal(got.Value, want.Value) || (got.Value == nil) != (want.Value == nil) || got.Value != nil && got.Time != want.Time {
		m.t.Errorf("%s %q: %q of %d, %v; want %q of %d", where, got.Key, got.Value, got.Time, err, want.Value, want.Time)
	}
}

func (m *model) commit() {
	if m.rnd.IntN(8) > 0 {
		m.position++
	}
	if err := m.store.Commit(m.position); err != nil {
		m.t.Fatal(err)
	}
	m.committed = maps.Clone(m.rows)
	if m.rnd.IntN(2) == 0 { // else what follows may see it being saved
		m.snapshot()
	}
}

func (m *model) snapshot() {
	snap, err := m.store.Snapshot()
	if err != nil {
		m.t.Fatal(err)
	}
	defer snap.Release()
	var got []store.Row
	for r, err := range snap.Rows(nil, nil) {
		if err != nil {
			m.t.Fatal(err)
		}
		got = append(got, r)
	}
	if len(got) != len(m.committed) {
		m.t.Errorf("snapshot of %d rows, want %d", len(got), len(m.committed))
	}
	for _, r := range got {
		m.same("snapshot", r, m.committed[string(r.Key)], nil)
	}
}

func (m *model) scan() {
	var from, to []byte
	if m.rnd.IntN(3) > 0 {
		from = m.key()
	}
	if m.rnd.IntN(3) > 0 {
		to = m.key()
	}
	m.loop("scan", m.store.Scan(from, to), func(last *store.Row) (next *store.Row) {
		for _, r := range m.rows {
			if bytes.Compare(r.Key, from) >= 0 && (to == nil || bytes.Compare(r.Key, to) < 0) &&
				(last == nil || bytes.Compare(r.Key, last.Key) > 0) && (next == nil || bytes.Compare(r.Key, next.Key) < 0) {
				next = &r
			}
		}
		return next
	})
}

func (m *model) due() {
	at := func(r *store.Row) int64 { return m.options.Deadline(r.Key, r.Value, r.Time) }
	before := func(a, b *store.Row) bool {
		return cmp.Or(cmp.Compare(at(a), at(b)), bytes.Compare(a.Key, b.Key)) < 0
	}
	m.loop("due", m.store.Due(), func(last *store.Row) (next *store.Row) {
		for _, r := range m.rows {
			if at(&r) != math.MaxInt64 && (last == nil || before(last, &r)) && (next == nil || before(&r, next)) {
				next = &r
			}
		}
		return next
	})
}

// loop compares each step with the model's next row after the last one, breaks
// off somewhere, and in the loop does what a loop may do.
func (m *model) loop(name string, rows iter.Seq2[store.Row, error], next func(last *store.Row) *store.Row) {
	var last *store.Row
	steps, busy := m.rnd.IntN(40), m.rnd.IntN(3)
	for r, err := range rows {
		want := next(last)
		if want == nil || err != nil || !bytes.Equal(r.Key, want.Key) {
			m.t.Fatalf("%s: after %v comes %q, %v; want %v", name, last, r.Key, err, want)
		}
		m.same(name, r, *want, nil)
		if steps--; steps == 0 {
			return
		}
		last = &store.Row{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value), Time: r.Time}
		switch {
		case busy == 1:
			m.store.Put(r.Key, nil, 0)
			delete(m.rows, string(last.Key))
		case busy == 2 && m.rnd.IntN(2) == 0:
			m.put()
		case busy == 2 && m.rnd.IntN(20) == 0:
			m.scan()
			m.due()
		}
	}
	if want := next(last); want != nil {
		m.t.Errorf("%s: ends after %v; want %v", name, last, want)
	}
}

// restart closes the store, counts what it left, and opens it, perhaps with
// another Deadline.
func (m *model) restart() {
	if err := m.store.Close(m.rnd.IntN(2) == 0); err != nil {
		m.t.Fatal(err)
	}
	m.rows = maps.Clone(m.committed)
	m.counted()
	was := m.options
	switch m.rnd.IntN(4) {
	case 0:
		m.deadline(m.rnd.Int64N(3))
	case 1: // a life without
		m.options.Deadline, m.options.DeadlineName = nil, ""
		m.open()
		for range 20 {
			m.put()
		}
		m.commit()
		if err := m.store.Close(false); err != nil {
			m.t.Fatal(err)
		}
		m.counted()
		m.options = was
	}
	m.open()
}

// counted compares how many entries LevelDB has with how many rows have a deadline.
func (m *model) counted() {
	m.t.Helper()
	want := 0
	for _, r := range m.committed {
		if m.options.Deadline != nil && m.options.Deadline(r.Key, r.Value, r.Time) != math.MaxInt64 {
			want++
		}
	}
	if got := len(stored(m.t, m.dir, "d")); got != want {
		m.t.Errorf("LevelDB has %d deadlines, want %d", got, want)
	}
	if got := len(stored(m.t, m.dir, "k")); got != len(m.committed) {
		m.t.Errorf("LevelDB has %d rows, want %d", got, len(m.committed))
	}
}

// stored returns the keys in LevelDB that have a prefix.
func stored(t *testing.T, dir, prefix string) (keys []string) {
	t.Helper()
	db, err := leveldb.OpenFile(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	it := db.NewIterator(util.BytesPrefix([]byte(prefix)), nil)
	for it.Next() {
		keys = append(keys, string(it.Key()))
	}
	it.Release()
	if err := errors.Join(it.Error(), db.Close()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	return keys
}
