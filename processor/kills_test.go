package processor_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A reaper has one worker at a time work for a market, and kills it at random
// moments: some while it starts, joins or restores, some after it has got on.
type reaper struct {
	*market
	w     *worker
	dir   string
	left  int           // kills still to come
	clean int           // the kill after which the whole disk is lost; of others, tables are at times
	began int64         // what was committed when the worker was started
	delay time.Duration // from the start, or from when it has got on, to the kill
	doom  time.Time     // when that is, if it is known
}

func (r *reaper) spawn() {
	r.t.Helper()
	r.w = r.cluster.spawn(workerSpec{Market: true, Dir: r.dir})
	r.began, r.doom = r.progress(), time.Time{}
	if r.delay = time.Duration(r.r.Int64N(int64(60 * time.Millisecond))); r.r.IntN(3) == 0 {
		r.doom = time.Now().Add(8 * r.delay)
	}
}

// progress grows with whatever the groups commit.
func (r *reaper) progress() (sum int64) {
	for _, group := range []string{marketGroup, "market-" + busy.Name, "market-" + turnover.Name} {
		if info := r.GroupInfo(group); info != nil {
			for _, partitions := range info.Commits {
				for _, at := range partitions {
					sum += at.Offset
				}
			}
		}
	}
	return sum
}

// watch kills the worker if it is time, and starts the next one.
func (r *reaper) watch() {
	r.t.Helper()
	if r.left == 0 {
		return
	}
	if r.doom.IsZero() && r.progress() > r.began {
		r.doom = time.Now().Add(r.delay)
	}
	if r.doom.IsZero() || time.Now().Before(r.doom) {
		return
	}
	r.w.signal(syscall.SIGKILL)
	r.w.killed()
	r.left--
	switch {
	case r.left == r.clean:
		r.lose("*")
	case r.r.IntN(3) == 0:
		r.lose(names.Name)
	case r.r.IntN(3) == 0:
		for _, name := range []string{names.Name, busy.Name, turnover.Name} {
			r.lose(name)
		}
	}
	r.spawn()
}

// lose removes what is in the state directory under a name.
func (r *reaper) lose(pattern string) {
	r.t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.dir, pattern))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, path := range paths {
		if err := os.RemoveAll(path); err != nil {
			r.t.Fatal(err)
		}
	}
}

// until watches until a condition holds.
func (r *reaper) until(done func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(2 * patience); !done(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("what was waited for does not happen; %d kills are left", r.left)
		}
		r.watch()
		select {
		case <-r.w.ended: // by itself: the next watch says so
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Whenever a process is killed, and whatever is then left on its disk, all is as
// plain Go has it: tables, changelogs, and each published record.
func TestKilledAtRandom(t *testing.T) {
	for seed := range seeds(t, 2) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Parallel()
			const rounds, kills = 3, 2
			r := &reaper{market: newMarket(t, rand.New(rand.NewPCG(uint64(seed), 2))), dir: t.TempDir()}
			r.clean = r.r.IntN(rounds * kills)
			r.left = rounds * kills
			r.spawn()
			for round := range rounds {
				r.move()
				r.until(r.taken)
				r.until(func() bool {
					r.trade(20)
					return r.left <= kills*(rounds-1-round)
				})
				r.until(r.taken) // customers move when all before is joined
			}
			r.w.signal(syscall.SIGTERM)
			<-r.w.ended
			if r.w.err != nil {
				t.Errorf("the last worker ended with %v", r.w.err)
			}
			last := r.start(marketTopology(t, ""), keep(r.dir))
			r.settled(last)
			if err := last.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
