package processor_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/processor"
)

// killed has workers kill themselves after a step of a commit, one after the
// other on one state directory, while records come in. Every third finds its
// tables gone.
func (c *cluster) killed(kills, step int, least bool) (dir string) {
	c.t.Helper()
	dir = c.t.TempDir()
	produced := 0
	for k := range kills {
		if k%3 == 2 {
			if err := os.RemoveAll(filepath.Join(dir, counted.Name)); err != nil {
				c.t.Fatal(err)
			}
		}
		w := c.spawn(workerSpec{Dir: dir, Step: step, Commit: 1 + k%3, Least: least})
		for alive := true; alive; {
			c.produce(journal.Name, greetings(30, 7+produced%13)...)
			produced += 30
			select {
			case <-w.ended:
				alive = false
			case <-time.After(10 * time.Millisecond):
			}
		}
		w.killed()
	}
	return dir
}

// A commit that is cut short anywhere has happened once or not at all.
func TestCommitKilled(t *testing.T) {
	for step := 1; step <= 4; step++ {
		t.Run(fmt.Sprintf("step%d", step), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(journal.Name, 3, nil)
			c.create(counts.Name, 2, nil)
			dir := c.killed(5, step, false)
			last := c.start(c.count(), keep(dir))
			c.counted(last)
			if err := last.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Without transactions the same kills do show: the tests above can fail.
func TestCommitKilledAtLeastOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 3, nil)
	c.create(counts.Name, 2, nil)
	dir := c.killed(2, 1, true)
	last := c.start(c.count(), func(cfg *processor.Config) {
		cfg.StateDir, cfg.Guarantee = dir, processor.AtLeastOnce
	})
	records := len(c.drained("count-"+counted.Name, journal.Name))
	if err := last.stop(); err != nil {
		t.Error(err)
	}
	if published := len(c.read(counts.Name)); published <= records {
		t.Errorf("%d records were counted, and %d counts published: want doubles", records, published)
	}
}
