package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/internal/proof/damage"
	"github.com/tidemark-dev/tidemark/internal/store"
)

// everyHarm says whether tests of damage try all of it, or a sample.
var everyHarm = os.Getenv("TIDEMARK_DAMAGE") == "all"

// A record is what a store held at each of its positions.
type history map[int64]map[string]string

// written fills a store with rows over several openings, so that it has tables
// and journals, and calls killed with a copy of it as a kill leaves it.
func written(t *testing.T, dir string) (history, string) {
	t.Helper()
	held, rows, position := history{0: {}}, map[string]string{}, int64(0)
	var killed string
	for opened := range 4 {
		s, wiped, err := store.Open(dir, store.Options{Ordered: true}, fits)
		if err != nil || wiped != "" {
			t.Fatal(err, wiped)
		}
		for range 25 {
			for i := range int64(5) {
				key, value := fmt.Sprintf("key-%02d", (position*7+i)%60), fmt.Sprintf("value %d of %d", i, position)
				if i == 4 && position%3 == 0 {
					s.Put([]byte(key), nil, position)
					delete(rows, key)
					continue
				}
				put(s, key, value)
				rows[key] = value
			}
			position += 5
			if err := s.Commit(position); err != nil {
				t.Fatal(err)
			}
			held[position] = maps.Clone(rows)
		}
		if opened == 3 {
			killed = filepath.Join(t.TempDir(), "killed")
			if _, err := s.Snapshot(); err != nil { // waits for the last batch
				t.Fatal(err)
			}
			if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(false); err != nil {
			t.Fatal(err)
		}
	}
	return held, killed
}

// rowsOf reads a store in every way. It is fine with all of it, or says that the
// store is damaged.
func rowsOf(s *store.Store) (map[string]string, error) {
	scanned := map[string]string{}
	for r, err := range s.Scan(nil, nil) {
		if err != nil {
			return nil, err
		}
		scanned[string(r.Key)] = string(r.Value)
	}
	for n := range 60 {
		key := fmt.Sprintf("key-%02d", n)
		value, _, _, err := s.Committed([]byte(key))
		if err != nil {
			return nil, err
		}
		if scanned[key] != string(value) {
			return nil, fmt.Errorf("%s: scanned %q, got %q", key, scanned[key], value)
		}
	}
	return scanned, nil
}

// Whatever is damaged before a store is opened: it is the table as of the position
// that it gives, or it is wiped, at once or when it is opened after it was read.
func TestDamageEverywhere(t *testing.T) {
	dir := t.TempDir()
	held, killed := written(t, dir)
	for name, from := range map[string]string{"closed": dir, "killed": killed} {
		t.Run(name, func(t *testing.T) {
			harms, err := damage.All(from, 64)
			if err != nil {
				t.Fatal(err)
			}
			outcomes := map[string]int{}
			for i, h := range harms {
				if strings.HasPrefix(h.File, "LOG") || !everyHarm && i%7 != 0 && h.Kind != damage.Gone {
					continue
				}
				outcome, err := harm(t, from, h, held)
				if err != nil {
					t.Errorf("%s: %v", h, err)
				}
				outcomes[outcome]++
			}
			t.Logf("%d harms: %v", len(harms), outcomes)
			for _, outcome := range []string{"whole", "older", "wiped", "wiped when read"} {
				if outcomes[outcome] == 0 && (outcome != "older" || name == "killed") {
					t.Errorf("none was %s", outcome)
				}
			}
		})
	}
}

func harm(t *testing.T, from string, h damage.Harm, held history) (outcome string, err error) {
	dir := filepath.Join(t.TempDir(), "harmed")
	if err := errors.Join(os.CopyFS(dir, os.DirFS(from)), h.Do(dir)); err != nil {
		return "", err
	}
	outcome = "whole"
	damaged := false // as far as is known
	for range 3 {
		told := 0
		s, wiped, err := store.Open(dir, store.Options{Ordered: true, Failed: func(error) { told++ }}, fits)
		if err != nil {
			return "", err
		}
		at := s.Position()
		switch {
		case wiped != "" && outcome == "whole":
			outcome = "wiped"
		case wiped == "" && damaged:
			return "", errors.New("it is not wiped when it is opened again")
		case wiped == "" && s.Cut() != "":
			outcome = "older"
		}
		rows, err := rowsOf(s)
		switch damaged = errors.Is(err, store.ErrDamaged); {
		case damaged && (told != 1 || s.Damage() == nil):
			return "", fmt.Errorf("%w: told %d times", err, told)
		case damaged:
			outcome = "wiped when read"
		case err != nil:
			return "", errors.Join(err, s.Close(false))
		default:
			if diff := cmp.Diff(held[at], rows); diff != "" {
				return "", errors.Join(fmt.Errorf("at position %d (-want +got):\n%s", at, diff), s.Close(false))
			}
		}
		switch err := s.Close(false); {
		case errors.Is(err, store.ErrDamaged):
			damaged, outcome = true, "wiped when read" // a compaction has met it
		case err != nil:
			return "", err
		}
	}
	return outcome, nil
}

// longJournal returns a copy of a store as a kill leaves it, with a journal of many
// blocks: 400 times each of 100 rows, the n-th time at position 100 n with the
// value long(n).
func longJournal(t *testing.T) (dir, journal string, size int64) {
	t.Helper()
	from := t.TempDir()
	s := open(t, from)
	for n := range 400 {
		for k := range 100 {
			put(s, fmt.Sprintf("key-%d", k), long(n+1))
		}
		if err := s.Commit(int64(100 * (n + 1))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Snapshot(); err != nil { // waits for the last batch
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "killed")
	if err := errors.Join(os.CopyFS(dir, os.DirFS(from)), s.Close(false)); err != nil {
		t.Fatal(err)
	}
	journals, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	journal = filepath.Base(journals[len(journals)-1])
	info, err := os.Stat(filepath.Join(dir, journal))
	if err != nil {
		t.Fatal(err)
	}
	return dir, journal, info.Size()
}

func long(n int) string { return strings.Repeat(fmt.Sprint(n%10), 100) }

// What a kill leaves of a journal is used as it is, and quickly.
func TestTornJournalIsUsed(t *testing.T) {
	dir, journal, size := longJournal(t)
	if err := os.Truncate(filepath.Join(dir, journal), size-1000); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s, wiped, err := store.Open(dir, store.Options{}, fits)
	if err != nil || wiped != "" {
		t.Fatal(err, wiped)
	}
	defer s.Close(false)
	t.Logf("%d KB of journal, opened after %v, %s", size>>10, time.Since(began), s.Cut())
	if at := s.Position(); at != 39_900 {
		t.Errorf("it is at %d, want the last position that was whole, 39900", at)
	}
	if !strings.Contains(s.Cut(), "is whole up to byte") {
		t.Errorf("it says %q of the journal", s.Cut())
	}
	want(t, s, "key-0", long(399))
}

// What is behind the damage of a journal is not believed.
func TestDamagedJournalIsUsedUpToThere(t *testing.T) {
	dir, journal, size := longJournal(t)
	for n := range int64(20) {
		at := n * size / 20
		for _, h := range []damage.Harm{{Kind: damage.Flip, File: journal, At: at}, {Kind: damage.Zero, File: journal, At: at, Size: min(4096, size-at)}} {
			harmed := filepath.Join(t.TempDir(), "harmed")
			if err := errors.Join(os.CopyFS(harmed, os.DirFS(dir)), h.Do(harmed)); err != nil {
				t.Fatal(err)
			}
			s, wiped, err := store.Open(harmed, store.Options{}, fits)
			if err != nil || wiped != "" {
				t.Fatalf("%s: %v, wiped %q", h, err, wiped)
			}
			position := s.Position()
			for k := range 100 {
				value, _, err := s.Get(fmt.Appendf(nil, "key-%d", k))
				if err != nil || string(value) != long(int(position/100)) {
					t.Errorf("%s: at %d, row %d is %q, %v", h, position, k, value, err)
				}
			}
			if position == 40_000 || s.Cut() == "" {
				t.Errorf("%s: at %d, it says %q", h, position, s.Cut())
			}
			if err := s.Close(false); err != nil {
				t.Error(err)
			}
		}
	}
}

// What is between two journals is missed, and in the middle of one.
func TestHoleInJournalsIsNotBelieved(t *testing.T) {
	dir := t.TempDir()
	_, killed := written(t, dir)
	journals, _ := filepath.Glob(filepath.Join(killed, "*.log"))
	manifests, _ := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	if len(journals) != 1 || len(manifests) != 1 {
		t.Fatal(journals, manifests)
	}
	data, err := os.ReadFile(journals[0])
	if err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(killed, "999999.log") // as if its first half were that journal, and this its second
	first := bytes.Index(data, []byte("format"))
	if first >= 0 {
		t.Fatal("the journal is the first one of the store")
	}
	half := 0
	for end := range store.WholeRecords(data) {
		if half = end; end > len(data)/2 {
			break
		}
	}
	second := data[half:] // its chunks lie in one block, as they did
	if len(data) > 32<<10 {
		t.Fatal("the journal has several blocks")
	}
	for name, keep := range map[string]int{"both": half, "the second only": 0, "without the end of the first": half - 10} {
		copied := filepath.Join(t.TempDir(), "copied")
		err := errors.Join(os.CopyFS(copied, os.DirFS(killed)),
			os.WriteFile(filepath.Join(copied, filepath.Base(journals[0])), data[:keep], 0o644),
			os.WriteFile(filepath.Join(copied, filepath.Base(next)), second, 0o644))
		if err != nil {
			t.Fatal(err)
		}
		s, wiped, err := store.Open(copied, store.Options{}, fits)
		if err != nil {
			t.Fatal(err)
		}
		if believed := wiped == ""; believed != (name == "both") {
			t.Errorf("%s: wiped %q", name, wiped)
		}
		if err := s.Close(false); err != nil {
			t.Fatal(err)
		}
	}
}

// What is damaged while the store is open ends it when it is read, and it is wiped
// when it is opened again. What LevelDB holds in memory it may go on to show.
func TestDamageWhileOpen(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"gone":   os.Remove,
		"empty":  func(path string) error { return os.Truncate(path, 0) },
		"zeroed": func(path string) error { return os.WriteFile(path, make([]byte, 10_000), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			for i := range 100_000 {
				put(s, fmt.Sprintf("key-%06d", i), strings.Repeat(fmt.Sprint(i), 20))
			}
			if err := errors.Join(s.Commit(100_000), s.Close(false)); err != nil {
				t.Fatal(err)
			}
			var told atomic.Pointer[error]
			s, wiped, err := store.Open(dir, store.Options{Ordered: true, Failed: func(err error) { told.Store(&err) }}, fits)
			if err != nil || wiped != "" {
				t.Fatal(err, wiped)
			}
			tables, _ := filepath.Glob(filepath.Join(dir, "*.ldb"))
			for _, path := range tables {
				if err := harm(path); err != nil {
					t.Fatal(err)
				}
			}
			rows := 0
			for r, scanned := range s.Scan(nil, nil) {
				if err = scanned; err == nil && string(r.Value) != strings.Repeat(fmt.Sprint(rows), 20) {
					t.Fatalf("row %d is %q", rows, r.Value)
				}
				rows++
			}
			if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), ".ldb") {
				t.Errorf("reading gives %v, want damage of a file", err)
			}
			if err := told.Load(); err == nil || !errors.Is(*err, store.ErrDamaged) {
				t.Errorf("told %v", err)
			}
			_ = s.Close(true)
			s, wiped, err = store.Open(dir, store.Options{}, fits)
			if err != nil || !strings.Contains(wiped, ".ldb") {
				t.Fatalf("%v, wiped %q", err, wiped)
			}
			if err := s.Close(false); err != nil {
				t.Error(err)
			}
			if s, wiped, err = store.Open(dir, store.Options{}, fits); err != nil || wiped != "" {
				t.Fatalf("%v, wiped %q again", err, wiped)
			}
			if err := s.Close(false); err != nil {
				t.Error(err)
			}
		})
	}
}

// An error of the disk is not damage, and nothing is wiped for it.
func TestErrorsOfTheDisk(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EMFILE, syscall.EIO, syscall.EROFS, syscall.EACCES, syscall.EDQUOT} {
		err := store.Classify(&os.PathError{Op: "write", Path: "000001.log", Err: errno})
		if errors.Is(err, store.ErrDamaged) || !errors.Is(err, errno) {
			t.Errorf("%v: got %v", errno, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Open(dir, store.Options{}, fits); !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("it was wiped: %v", err)
	}
}
