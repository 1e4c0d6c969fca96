package follow_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-dev/tidemark/topology"
)

// What a target says about where it stands is believed as far as it can be true.
// Each target has lost a row, has an old one, and one that was deleted.
func TestFollowerPositions(t *testing.T) {
	const now = 946684800 // when time begins in a bubble
	for name, test := range map[string]struct {
		position string
		reason   string // of a rebuild, "" for none
	}{
		"none":                {"", "the target knows nothing of the table"},
		"another incarnation": {fmt.Sprintf("other@2@%d", now), "the target followed another incarnation of the table"},
		"ahead":               {fmt.Sprintf("id@100@%d", now), "the target is at 100, and the changelog ends at 5"},
		"no position":         {"a position", `the target's position \"a position\" is not ours`},
		"no number":           {"id@x@0", `the target's position \"id@x@0\" is not ours`},
		"unfinished rebuild":  {fmt.Sprintf("id@2@%d+3", now), "an earlier rebuild did not finish"},
		"left long ago":       {"id@2@0", "the changelog keeps tombstones for 1h0m0s"},
		"at the start":        {fmt.Sprintf("id@0@%d", now), ""},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(x *trial) {
				x.commit("a=1", "b=2", "gone=1", "gone")
				x.target.rows = map[string]string{"b": "1", "gone": "1"}
				x.target.place.Position = test.position
				x.start()
				x.holds("a=1 b=2")
				if test.reason == "" || test.position == "" {
					x.rebuilt(0)
				} else {
					x.rebuilt(1)
				}
				if !strings.Contains(x.log.String(), test.reason) {
					t.Errorf("the log does not say %q:\n%s", test.reason, &x.log)
				}
			})
		})
	}
}

// A changelog that no longer has what comes next ends in a rebuild.
func TestFollowerOfATruncatedChangelog(t *testing.T) {
	try(t, func(x *trial) {
		x.start()
		x.commit("a=1")
		x.follower.Stop(true)
		x.follower = nil
		x.commit("a=2", "b=3")
		x.commit("a")
		x.table.begins = x.table.end() - 1
		x.start()
		time.Sleep(time.Second)
		x.holds("b=3")
		x.rebuilt(1)
	})
}

// A rebuild deletes rows of its partition that the table does not have, and names
// that are no rows. Rows of other partitions stay.
func TestRebuildSweeps(t *testing.T) {
	for name, test := range map[string]struct {
		strays bool
		want   string
	}{
		"where keys are as expected": {false, "BIG=1 a=1"},
		"where keys stray":           {true, "BIG=1 a=1 old=1"},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(x *trial) {
				x.table.strays = test.strays
				x.commit("a=1")
				x.target.rows = map[string]string{"old": "1", "BIG": "1"}
				for n := range 2500 {
					x.target.stale = append(x.target.stale, fmt.Sprint(n))
				}
				x.start()
				x.holds(test.want)
				if n := len(x.target.stale); n > 0 {
					t.Errorf("%d stale names are left", n)
				}
			})
		})
	}
}

// A rebuild is never of a table that is older than what the target has had.
func TestRebuildWaitsForTheTable(t *testing.T) {
	try(t, func(x *trial) {
		x.start()
		x.commit("a=1", "b=2")
		x.set(func() { x.session.lost = fmt.Errorf("not ours") })
		x.set(func() { x.target.place = topology.Place{} })
		time.Sleep(time.Minute)
		x.set(func() {
			if got := x.target.place.Position; got != "" {
				t.Errorf("rebuilt to %q by who is not the owner", got)
			}
		})
		x.set(func() { x.session.lost = nil })
		time.Sleep(3 * time.Second)
		x.holds("a=1 b=2")
	})
}

// many are n rows.
func many(n int) (rows []string, want string) {
	for i := range n {
		rows = append(rows, fmt.Sprintf("k%03d=%d", i, i))
	}
	return rows, strings.Join(rows, " ")
}

// What is too large for a sink is split, live and in a rebuild.
func TestFollowerMakesSmallSteps(t *testing.T) {
	for _, most := range []int{1, 3} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			try(t, func(x *trial) {
				x.target.takes = func(b topology.Batch) error {
					if len(b.Rows)+len(b.Stale) > most {
						return topology.ErrTooLarge
					}
					return nil
				}
				rows, want := many(40)
				x.start()
				x.commit(rows...)
				x.holds(want)
				x.set(func() { x.target.place, x.target.rows = topology.Place{}, map[string]string{} })
				time.Sleep(3 * time.Second)
				x.holds(want)
				x.rebuilt(1)
			})
		})
	}
}

// A row that a sink never takes goes where the policy says; the others arrive.
func TestFollowerLeavesARowOut(t *testing.T) {
	for _, policy := range []topology.Policy{topology.Fail, topology.Skip, topology.DeadLetter} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			try(t, func(x *trial) {
				x.config.Write = policy
				x.target.takes = func(b topology.Batch) error {
					for _, row := range b.Rows {
						if string(row.Key) == "bad" {
							return &topology.RowError{Key: row.Key, Err: fmt.Errorf("no name")}
						}
					}
					return nil
				}
				x.start()
				x.commit("a=1", "bad=1", "b=2")
				why := `table words/3: row "bad": no name`
				if policy == topology.Fail {
					x.holds("")
					if len(x.session.failed) == 0 || !strings.Contains(x.session.failed[0], why) {
						t.Errorf("failed %q, want %q", x.session.failed, why)
					}
					return
				}
				x.holds("a=1 b=2")
				skipped, letters := x.counters.Skipped.Load(), x.counters.DeadLetters.Load()
				if policy == topology.Skip && skipped != 1 || policy == topology.DeadLetter && letters != 1 || skipped+letters != 1 {
					t.Errorf("skipped %d, dead letters %d", skipped, letters)
				}
				if policy == topology.DeadLetter && (len(x.session.letters) != 1 || !strings.Contains(x.session.letters[0], why)) {
					t.Errorf("dead letters %q", x.session.letters)
				}
			})
		})
	}
}

// A single row that is too large for a sink is to blame.
func TestFollowerOfARowThatIsTooLarge(t *testing.T) {
	try(t, func(x *trial) {
		x.config.Write = topology.Skip
		x.target.takes = func(b topology.Batch) error {
			for _, row := range b.Rows {
				if len(row.Value) > 1 {
					return topology.ErrTooLarge
				}
			}
			return nil
		}
		x.start()
		x.commit("a=1", "b=22", "c=3")
		synctest.Wait()
		x.holds("a=1 c=3")
		if n := x.counters.Skipped.Load(); n != 1 {
			t.Errorf("skipped %d", n)
		}
	})
}
