package processor_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// A local table that does not go with its changelog is wiped, with a word.
func TestTableWiped(t *testing.T) {
	for name, w := range map[string]struct {
		harm func(c *cluster, dir string)
		word string
	}{
		"ahead": {func(c *cluster, dir string) {
			alter(c.t, dir, func(s *store.Store, source string) error {
				s.Put([]byte("stale"), []byte("{}"), 0)
				return s.Commit(1 << 40)
			})
		}, "but its changelog ends at"},
		"incarnation": {func(c *cluster, dir string) {
			alter(c.t, dir, func(s *store.Store, source string) error {
				s.Put([]byte("stale"), []byte("{}"), 0)
				return errors.Join(s.Commit(s.Position()), s.Begin(strings.Replace(source, `"topic-id":"`, `"topic-id":"not-`, 1)))
			})
		}, "another incarnation"},
		"cluster": {func(c *cluster, dir string) {
			alter(c.t, dir, func(s *store.Store, source string) error {
				s.Put([]byte("stale"), []byte("{}"), 0)
				return errors.Join(s.Commit(s.Position()), s.Begin(strings.Replace(source, `"cluster":"`, `"cluster":"not-`, 1)))
			})
		}, `it belongs to the Kafka cluster \"not-`},
		"application": {func(c *cluster, dir string) {
			alter(c.t, dir, func(s *store.Store, source string) error {
				s.Put([]byte("stale"), []byte("{}"), 0)
				return errors.Join(s.Commit(s.Position()), s.Begin(strings.Replace(source, `"application":"`, `"application":"not-`, 1)))
			})
		}, `it belongs to application \"not-hello\"`},
		"older version": {func(c *cluster, dir string) {
			alter(c.t, dir, func(s *store.Store, source string) error {
				s.Put([]byte("stale"), []byte("{}"), 0)
				return errors.Join(s.Commit(s.Position()), s.Begin("an-id"))
			})
		}, "it does not say whose it is"},
		"exchanged": {func(c *cluster, dir string) {
			for _, pair := range [][2]string{{"0", "1"}, {"2", "3"}} {
				one, other, aside := filepath.Join(dir, hellos.Name, pair[0]), filepath.Join(dir, hellos.Name, pair[1]), filepath.Join(dir, "aside")
				if err := errors.Join(os.Rename(one, aside), os.Rename(other, one), os.Rename(aside, other)); err != nil {
					c.t.Fatal(err)
				}
			}
		}, "it belongs to partition"},
		"journal": {func(c *cluster, dir string) {
			files, err := filepath.Glob(filepath.Join(dir, hellos.Name, "*", "*.log"))
			if err != nil || len(files) != 4 {
				c.t.Fatal(files, err)
			}
			for _, f := range files {
				if err := os.Truncate(f, 100); err != nil {
					c.t.Fatal(err)
				}
			}
		}, "was cut off, by a kill or by damage"},
		"truncated": {func(c *cluster, dir string) {
			alter(c.t, dir, func(s *store.Store, source string) error {
				s.Put([]byte("stale"), []byte("{}"), 0)
				return s.Commit(1)
			})
			for _, p := range c.PartitionInfos(hellosLog) {
				if err := c.DeleteRecords(hellosLog, p.Partition, p.LogStartOffset+2); err != nil {
					c.t.Fatal(err)
				}
			}
		}, "but its changelog begins at"},
		"damaged": {func(c *cluster, dir string) {
			files, err := filepath.Glob(filepath.Join(dir, hellos.Name, "*", "MANIFEST-*"))
			if err != nil || len(files) != 4 {
				c.t.Fatal(files, err)
			}
			for _, f := range files {
				if err := os.WriteFile(f, []byte("not a manifest"), 0o644); err != nil {
					c.t.Fatal(err)
				}
			}
		}, "its files are damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, dir := restoring(t, 1)
			w.harm(c, dir)
			want := lastValues(c.read(hellosLog))
			i := c.start(c.hello(), keep(dir))
			i.await(processor.Running)
			if n := strings.Count(i.log.String(), w.word); n != 4 {
				t.Errorf("the log says %q %d times, want once for each partition", w.word, n)
			}
			c.hold(hellosLog, hellos.Name, want, i)
			c.produce(journal.Name, greetings(40, 40)...)
			c.drained("hello-"+hellos.Name, journal.Name)
			c.hold(hellosLog, hellos.Name, lastValues(c.read(hellosLog)), i)
		})
	}
}

// alter opens the tables of a state directory.
func alter(t testing.TB, dir string, change func(s *store.Store, source string) error) {
	t.Helper()
	for p := range 4 {
		var source string
		s, _, err := store.Open(filepath.Join(dir, hellos.Name, strconv.Itoa(p)), store.Options{}, func(o store.Origin) error {
			source = o.Source
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(change(s, source), s.Close(false)); err != nil {
			t.Fatal(err)
		}
	}
}

// A table that was left for longer than the changelog keeps tombstones may hold
// rows that were deleted meanwhile.
func TestTableTooOld(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 4, nil)
	c.create(hellosLog, 4, map[string]string{"cleanup.policy": "compact", "delete.retention.ms": "1500"})
	c.produce(journal.Name, greetings(200, 40)...)
	old := c.start(c.hello(), nil)
	c.materialized(old)
	if err := old.stop(); err != nil {
		t.Fatal(err)
	}
	left := time.Now()
	next := c.start(c.hello(), nil)
	for k := range 30 {
		c.produce(journal.Name, topology.Raw{Key: greeting(k, 0).Key})
	}
	c.materialized(next)
	for time.Since(left) < 2*time.Second {
		c.produce(journal.Name, greetings(40, 10)...)
		c.drained("hello-"+hellos.Name, journal.Name)
	}
	c.Compact()
	c.Compact()
	for _, r := range c.read(hellosLog) {
		if r.Value == nil {
			t.Errorf("there is still a tombstone: %s", r.Position)
		}
	}
	if err := next.stop(); err != nil {
		t.Fatal(err)
	}
	again := c.start(c.hello(), keep(old.dir))
	again.await(processor.Running)
	if !again.log.contains("the changelog keeps tombstones for 1.5s") {
		t.Error("the log says nothing of the table's age")
	}
	c.materialized(again)
}

// A task that lost its partition does not say that its table was current when it
// was closed: rows may have been deleted by the next owner.
func TestTableOfFencedIsNotCurrent(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 4, nil)
	c.produce(journal.Name, greetings(200, 40)...)
	i := c.start(c.hello(), func(cfg *processor.Config) {
		cfg.OnError = func(error) processor.Answer { return processor.StopInstance }
	})
	c.materialized(i)
	lost := time.Now()
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownMemberID, Count: -1})
	c.produce(journal.Name, greetings(200, 40)...)
	<-i.ended
	if i.err == nil {
		t.Error("the instance ended without an error")
	}
	for p := range 4 {
		s, _, err := store.Open(filepath.Join(i.dir, hellos.Name, strconv.Itoa(p)), store.Options{}, func(o store.Origin) error {
			if o.Saved.After(lost) {
				t.Errorf("partition %d was current at %v, and lost at %v", p, o.Saved, lost)
			}
			return nil
		})
		if err = errors.Join(err, s.Close(false)); err != nil {
			t.Fatal(err)
		}
	}
}

// What cannot be a state directory is refused with its name.
func TestStateDirectoryUnusable(t *testing.T) {
	t.Parallel()
	c, _, dir := restoring(t, 1)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	i := c.start(c.hello(), keep(file))
	<-i.ended
	if i.err == nil || !strings.Contains(i.err.Error(), file) {
		t.Errorf("got %v, want an error with the name of the file", i.err)
	}

	// In place of a partition's directory lies a link to nowhere.
	table := filepath.Join(dir, hellos.Name, "2")
	if err := errors.Join(os.RemoveAll(table), os.Symlink("/dev/null/nowhere", table)); err != nil {
		t.Fatal(err)
	}
	i = c.start(c.hello(), func(cfg *processor.Config) {
		cfg.StateDir = dir
		cfg.OnError = func(error) processor.Answer { return processor.StopInstance }
	})
	<-i.ended
	if i.err == nil || !strings.Contains(i.err.Error(), table) {
		t.Errorf("got %v, want an error with the name of the directory", i.err)
	}
}
