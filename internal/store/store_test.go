package store_test

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"

	"github.com/tidemark-dev/tidemark/internal/store"
)

func fits(store.Origin) error { return nil }

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, wiped, err := store.Open(dir, store.Options{}, fits)
	if err != nil || wiped != "" {
		t.Fatal(err, wiped)
	}
	return s
}

func want(t *testing.T, s *store.Store, key, value string) {
	t.Helper()
	v, _, err := s.Get([]byte(key))
	if err != nil || string(v) != value || (v == nil) != (value == "") {
		t.Errorf("%s = %q, %v; want %q", key, v, err, value)
	}
}

func put(s *store.Store, key, value string) {
	if value == "" {
		s.Put([]byte(key), nil, 0)
		return
	}
	s.Put([]byte(key), []byte(value), 0)
}

func TestOpenTransactionIsSeenByItsTaskOnly(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close(false)
	put(s, "a", "1")
	want(t, s, "a", "1")
	if v, _, _, _ := s.Committed([]byte("a")); v != nil {
		t.Errorf("a view reads %q before the commit", v)
	}
	s.Discard()
	want(t, s, "a", "")
	put(s, "a", "2")
	if err := s.Commit(7); err != nil {
		t.Fatal(err)
	}
	if v, _, at, _ := s.Committed([]byte("a")); string(v) != "2" || at != 7 {
		t.Errorf("a view reads %q at %d, want 2 at 7", v, at)
	}
}

func TestRestartKeepsRowsAndPosition(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.Begin("incarnation"); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		put(s, fmt.Sprint("key", i%100), fmt.Sprint(i))
	}
	put(s, "key7", "")
	put(s, "position", "a user's key")
	s.Note("noted")
	if err := errors.Join(s.Commit(41), s.Commit(42), s.Close(true)); err != nil {
		t.Fatal(err)
	}
	var was store.Origin
	s, wiped, err := store.Open(dir, store.Options{}, func(o store.Origin) error { was = o; return nil })
	if err != nil || wiped != "" {
		t.Fatal(err, wiped)
	}
	defer s.Close(false)
	if was.Position != 42 || was.Source != "incarnation" || was.Saved.IsZero() || was.Note != "noted" {
		t.Errorf("origin %+v", was)
	}
	want(t, s, "key7", "")
	want(t, s, "key8", "908")
	want(t, s, "position", "a user's key")
}

func TestLastChangeOfAKeyIsSentOnce(t *testing.T) {
	for every, sent := range map[bool]int{false: 2, true: 4} {
		s, _, err := store.Open(t.TempDir(), store.Options{EveryChange: every}, fits)
		if err != nil {
			t.Fatal(err)
		}
		put(s, "a", "1")
		put(s, "b", "1")
		put(s, "a", "a longer value")
		put(s, "a", "3")
		if rows := s.Unsent(); len(rows) != sent || string(rows[0].Key) != "a" || (string(rows[0].Value) == "3") == every {
			t.Errorf("every %v: sends %d rows, first %s; want %d", every, len(rows), rows[0].Value, sent)
		}
		put(s, "a", "4") // what was sent does not change: it is a row more
		if rows := s.Unsent(); len(rows) != 1 || string(rows[0].Value) != "4" {
			t.Errorf("every %v: then sends %v", every, rows)
		}
		want(t, s, "a", "4")
		if err := errors.Join(s.Commit(5), s.Close(false)); err != nil {
			t.Error(err)
		}
	}
}

func TestCountedRowsAreReadBack(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close(false)
	for round := range 50 {
		for i := range 100 {
			key := fmt.Sprint("k", i)
			if round > 0 {
				want(t, s, key, fmt.Sprint(round-1))
			}
			put(s, key, fmt.Sprint(round))
		}
		if err := s.Commit(int64(round + 1)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSnapshotStandsStill(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close(false)
	for _, k := range []string{"b", "a", "c"} {
		put(s, k, "1")
	}
	s.Note("three")
	if err := s.Commit(3); err != nil {
		t.Fatal(err)
	}
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	put(s, "a", "2")
	put(s, "b", "")
	s.Note("five")
	if err := s.Commit(5); err != nil {
		t.Fatal(err)
	}
	got := ""
	for r, err := range snap.Rows(nil, []byte("c")) {
		got += fmt.Sprintf("%s=%s %v ", r.Key, r.Value, err)
	}
	if got != "a=1 <nil> b=1 <nil> " || snap.Position != 3 || snap.Note != "three" {
		t.Errorf("snapshot at %d, %s: %s", snap.Position, snap.Note, got)
	}
	if has, err := snap.Has([]byte("b")); !has || err != nil {
		t.Error("b is missing", err)
	}
}

func TestUnfitStoreIsWiped(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(s, "a", "1")
	if err := errors.Join(s.Commit(1), s.Close(false)); err != nil {
		t.Fatal(err)
	}
	s, wiped, err := store.Open(dir, store.Options{}, func(o store.Origin) error {
		if o.Position > 0 {
			return errors.New("ahead")
		}
		return nil
	})
	if err != nil || wiped != "ahead" {
		t.Fatal(err, wiped)
	}
	defer s.Close(false)
	want(t, s, "a", "")
}

// A store whose rows are not as this program writes them is not misread.
func TestOtherFormatIsWiped(t *testing.T) {
	for name, c := range map[string]struct {
		there map[string]string
		wiped string
	}{
		"older":       {map[string]string{"ka": "a value without a time", "source": "incarnation"}, "it is of an older format"},
		"newer":       {map[string]string{"ka": "whatever", "format": "3"}, `it is of format "3", and this program keeps format 2`},
		"no rows yet": {map[string]string{"source": "incarnation"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db, err := leveldb.OpenFile(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range c.there {
				err = errors.Join(err, db.Put([]byte(k), []byte(v), nil))
			}
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			s, wiped, err := store.Open(dir, store.Options{}, fits)
			if err != nil || wiped != c.wiped {
				t.Fatalf("%v, wiped %q, want %q", err, wiped, c.wiped)
			}
			want(t, s, "a", "")
			put(s, "a", "1")
			if err := errors.Join(s.Commit(1), s.Close(false)); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir)
			defer s.Close(false)
			want(t, s, "a", "1")
		})
	}
}

// The time is the row's wherever the row lies: in the open transaction, in the
// one being saved, in the cache, in LevelDB, in a snapshot.
func TestRowsKeepTheirTimes(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	at := func(where string, want int64) {
		t.Helper()
		v, got, err := s.Get([]byte("a"))
		if err != nil || got != want || len(v) != 1 {
			t.Errorf("%s: %q of %d, %v; want %d", where, v, got, err, want)
		}
	}
	for round, time := range []int64{-1, 7, 1 << 60} {
		s.Put([]byte("a"), []byte("1"), time)
		at("open", time)
		if err := s.Commit(int64(round) + 1); err != nil {
			t.Fatal(err)
		}
		at("saving or saved", time)
		snap, err := s.Snapshot() // waits for LevelDB
		if err != nil {
			t.Fatal(err)
		}
		for r := range snap.Rows(nil, nil) {
			if r.Time != time {
				t.Errorf("in the snapshot: %d, want %d", r.Time, time)
			}
		}
		snap.Release()
		at("saved", time)
		if _, got, _, _ := s.Committed([]byte("a")); got != time {
			t.Errorf("committed: %d, want %d", got, time)
		}
	}
	if err := s.Close(false); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close(false)
	at("after a restart", 1<<60)
}

// A value or a key of no bytes is a value and a key.
func TestEmptyIsNotAbsent(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close(false)
	for range 3 {
		s.Put(nil, []byte{}, 1)
		if v, _, err := s.Get(nil); v == nil || len(v) != 0 || err != nil {
			t.Errorf("open: %v, %v", v, err)
		}
		if err := s.Commit(s.Position() + 1); err != nil {
			t.Fatal(err)
		}
		if v, _, err := s.Get(nil); v == nil || len(v) != 0 || err != nil {
			t.Errorf("committed: %v, %v", v, err)
		}
	}
}

// A Deadline that changed and kept its name leaves entries behind that are not
// the rows'. They are not shown, and go with the next batch.
func TestStaleDeadlinesGo(t *testing.T) {
	const rows = 25_000
	dir := t.TempDir()
	open := func(name string, at int64) *store.Store {
		s, wiped, err := store.Open(dir, store.Options{DeadlineName: name, Deadline: func(_, _ []byte, time int64) int64 {
			return time + at
		}}, fits)
		if err != nil || wiped != "" {
			t.Fatal(err, wiped)
		}
		return s
	}
	due := func(s *store.Store) (n int) {
		for _, err := range s.Due() {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	s := open("a day", 1)
	for i := range int64(rows) {
		s.Put(fmt.Append(nil, i), nil, 0)
		s.Put(fmt.Append(nil, i), []byte("x"), i)
	}
	if n := due(s); n != rows {
		t.Errorf("%d rows have a deadline, want %d", n, rows)
	}
	if err := errors.Join(s.Commit(1), s.Close(false)); err != nil {
		t.Fatal(err)
	}

	s = open("a day", 1000) // a lie
	put(s, "1", "y")
	if n := due(s); n != 1 {
		t.Errorf("%d rows have the deadline that they are indexed under, want 1", n)
	}
	for i := range int64(3) { // the same, with a deadline that was stale
		s.Put(fmt.Append(nil, 10+i), []byte("x"), 10+i-999)
	}
	if err := errors.Join(s.Commit(2), s.Close(false)); err != nil {
		t.Fatal(err)
	}
	s = open("a day", 1000)
	if n := due(s); n != 4 { // and the one is found that the open transaction hid
		t.Errorf("%d rows have the deadline that they are indexed under, want 4", n)
	}
	if err := errors.Join(s.Commit(3), s.Close(false)); err != nil {
		t.Fatal(err)
	}
	if n := len(stored(t, dir, "d")); n != 4 {
		t.Errorf("%d entries are left, want 4", n)
	}

	s = open("1000 days", 1000)
	if n := due(s); n != rows {
		t.Errorf("%d rows are indexed under another name, want %d", n, rows)
	}
	if err := s.Close(false); err != nil {
		t.Fatal(err)
	}
	if n := len(stored(t, dir, "d")); n != rows {
		t.Errorf("%d entries under another name, want %d", n, rows)
	}
}

// What a store was not opened for is refused.
func TestScanAndDueNeedTheirOptions(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close(false)
	put(s, "a", "1")
	for name, rows := range map[string]iter.Seq2[store.Row, error]{"scan": s.Scan(nil, nil), "due": s.Due()} {
		n := 0
		for _, err := range rows {
			if n++; err == nil {
				t.Errorf("%s yields rows", name)
			}
		}
		if n != 1 {
			t.Errorf("%s yields %d errors", name, n)
		}
	}
}

// What an order takes is held too.
func TestHeldCountsIndexes(t *testing.T) {
	held := func(o store.Options) int {
		s, _, err := store.Open(t.TempDir(), o, fits)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(false)
		for i := range 1000 {
			put(s, fmt.Sprint(i%100), "x")
		}
		return s.Held()
	}
	plain := held(store.Options{})
	ordered := held(store.Options{Ordered: true})
	both := held(store.Options{Ordered: true, Deadline: func(_, _ []byte, time int64) int64 { return time }})
	if plain != 190+100 || ordered-plain != both-ordered || ordered-plain < 100*24 {
		t.Errorf("held are %d bytes, in order %d, with deadlines %d", plain, ordered, both)
	}
}

func TestDamagedStoreIsWiped(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(s, "a", "1")
	if err := errors.Join(s.Commit(1), s.Close(false)); err != nil {
		t.Fatal(err)
	}
	manifests, _ := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	for _, m := range manifests {
		if err := os.WriteFile(m, []byte("rubbish, and more of it"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, wiped, err := store.Open(dir, store.Options{}, fits)
	if err != nil || wiped == "" {
		t.Fatalf("%v, wiped %q", err, wiped)
	}
	defer s.Close(false)
	want(t, s, "a", "")
}

func TestLockIsExclusive(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	lock, err := store.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Lock(dir); err == nil {
		t.Error("locked twice")
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := store.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// Rows of any size come once and in order, wherever a page of them ends.
func TestSnapshotPages(t *testing.T) {
	for _, c := range []struct{ rows, size int }{{256, 1}, {257, 1}, {1000, 1}, {3, 256 << 10}, {20, 100 << 10}, {3, 1 << 20}} {
		s := open(t, t.TempDir())
		value := strings.Repeat("x", c.size)
		for i := range c.rows {
			put(s, fmt.Sprintf("%04d", i), value)
		}
		if err := s.Commit(1); err != nil {
			t.Fatal(err)
		}
		snap, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for r, err := range snap.Rows(nil, nil) {
			if err != nil || string(r.Key) != fmt.Sprintf("%04d", n) || len(r.Value) != c.size {
				t.Fatalf("%d rows of %d: row %d is %q, %d bytes, %v", c.rows, c.size, n, r.Key, len(r.Value), err)
			}
			n++
		}
		if n != c.rows {
			t.Errorf("%d rows of %d: got %d", c.rows, c.size, n)
		}
		snap.Release()
		if err := s.Close(false); err != nil {
			t.Error(err)
		}
	}
}
