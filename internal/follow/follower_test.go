package follow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/internal/follow"
	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/internal/waiting"
	"github.com/tidemark-dev/tidemark/topology"
)

// A trial is a table, a target and a follower between them. It runs in a bubble of
// synctest, where pauses take no time.
type trial struct {
	*testing.T
	mu       sync.Mutex // of the table, the session and the target
	config   follow.Config
	table    *table
	session  *session
	target   *target
	counters follow.Counters
	log      bytes.Buffer
	follower *follow.Follower
}

// try runs a test with a trial that is not started.
func try(t *testing.T, test func(*trial)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, _, err := store.Open(t.TempDir(), store.Options{}, func(store.Origin) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		x := &trial{T: t}
		x.table, x.session = &table{mu: &x.mu, store: s}, &session{mu: &x.mu}
		x.target = &target{mu: &x.mu, rows: map[string]string{}}
		log := slog.New(slog.NewTextHandler(&x.log, nil))
		waits := waiting.New(log)
		x.config = follow.Config{
			Sink: x.target, From: topology.Source{Table: "words", Partition: 3}, Table: x.table, Session: x.session,
			Retention: time.Hour, Patience: 30 * time.Second, Answered: new(atomic.Bool),
			Counters: &x.counters, Waits: waits, Log: log,
		}
		test(x)
		if x.follower != nil {
			x.follower.Stop(false)
		}
		waits.End()
		if err := s.Close(true); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute) // LevelDB's goroutines end a second later
	})
}

// set changes the table, the session or the target, or looks at them.
func (x *trial) set(change func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	change()
}

// start starts the follower, again if it was stopped, and waits until it is idle.
func (x *trial) start() {
	x.follower = follow.New(x.config)
	x.follower.Start(context.Background(), topology.Owner{Application: "app"}, "id", x.table.end())
	synctest.Wait()
}

// commit commits rows, "a=1" or "a" for a deleted one, to the table.
func (x *trial) commit(rows ...string) {
	x.Helper()
	if err := x.table.commit(rows...); err != nil {
		x.Fatal(err)
	}
	if x.follower != nil {
		x.follower.Committed(x.table.end())
		synctest.Wait()
	}
}

// holds compares the target with rows, "a=1 b=2".
func (x *trial) holds(want string) {
	x.Helper()
	synctest.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	var rows []string
	for key, value := range x.target.rows {
		rows = append(rows, key+"="+value)
	}
	slices.Sort(rows)
	if diff := cmp.Diff(strings.Fields(want), rows, cmpEmpty); diff != "" {
		x.Errorf("target (-want +got):\n%s\n%s", diff, &x.log)
	}
}

var cmpEmpty = cmp.Transformer("empty", func(s []string) []string { return append([]string{}, s...) })

func (x *trial) rebuilt(want int64) {
	x.Helper()
	if n := x.counters.Rebuilds.Load(); n != want {
		x.Errorf("%d rebuilds, want %d\n%s", n, want, &x.log)
	}
}

// A table is a store with its changelog. What is committed ends with a marker, as
// a transaction does.
type table struct {
	mu      *sync.Mutex // of the trial
	store   *store.Store
	log     []topology.Raw
	begins  int64 // the changelog has been cut off before
	failing error // of Changes
	strays  bool
}

func (t *table) end() int64 { return t.store.Position() }

func (t *table) commit(rows ...string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	end := t.end()
	for _, row := range rows {
		key, value, ok := strings.Cut(row, "=")
		r := topology.Raw{Key: []byte(key), Time: time.UnixMilli(1), Position: topology.Position{Topic: "app-words-table", Partition: 3, Offset: end}}
		if ok {
			r.Value = []byte(value)
		}
		t.store.Put(r.Key, r.Value, 1)
		t.log = append(t.log, r)
		end++
	}
	return t.store.Commit(end + 1)
}

func (t *table) Changes(ctx context.Context, from, end int64, row func(topology.Raw) error, reached func(int64) error) error {
	t.mu.Lock()
	log, begins, failing := slices.Clone(t.log), t.begins, t.failing
	t.mu.Unlock()
	switch {
	case failing != nil:
		return failing
	case from < begins:
		return kafka.ErrTruncated
	}
	for _, r := range log {
		if r.Offset < from || r.Offset >= end {
			continue
		}
		if err := row(r); err != nil {
			return err
		}
		if r.Offset%5 == 4 { // an answer of the broker ends here
			if err := reached(r.Offset + 1); err != nil {
				return err
			}
		}
	}
	return errors.Join(reached(end), ctx.Err())
}

func (t *table) Snapshot() (*store.Snapshot, error) { return t.store.Snapshot() }

// Belongs says that keys with capital letters are in other partitions.
func (t *table) Belongs(key []byte) bool { return string(key) == strings.ToLower(string(key)) }

func (t *table) Strays(context.Context) (bool, error) { return t.strays, nil }

var errTable = errors.New("the table is damaged")

// A session notes what it is told.
type session struct {
	mu      *sync.Mutex // of the trial
	lost    error       // what Owns answers
	failed  []string
	ended   []string
	letters []string
}

func (s *session) Owns() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

func (s *session) Fail(err error) { s.note(&s.failed, err.Error()) }
func (s *session) End(err error)  { s.note(&s.ended, err.Error()) }

func (s *session) DeadLetter(_ context.Context, row topology.Raw, why error) error {
	s.note(&s.letters, fmt.Sprintf("%s: %v", row.Key, why))
	return nil
}

func (s *session) note(list *[]string, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*list = append(*list, text)
}

func (*session) Concerns(err error) bool {
	_, refused := errors.AsType[*topology.RecordError](err)
	return errors.Is(err, errTable) || refused
}

func TestFollowerBringsCommits(t *testing.T) {
	try(t, func(x *trial) {
		x.commit("a=1", "b=2")
		x.start()
		x.holds("a=1 b=2")
		x.commit("b", "c=3", "a=4")
		x.holds("a=4 c=3")
		x.rebuilt(0) // the first filling is none
		if got := x.follower.Status(); got != (follow.Status{Sink: "target"}) {
			t.Errorf("status %+v", got)
		}
		if got, want := x.target.place.Position, "id@7@"; !strings.HasPrefix(got, want) {
			t.Errorf("position %q, want %q…", got, want)
		}
	})
}

// A follower that starts again goes on where the target stands.
func TestFollowerGoesOn(t *testing.T) {
	try(t, func(x *trial) {
		x.start()
		x.commit("a=1", "b=2")
		x.follower.Stop(true)
		x.follower = nil
		x.commit("c=3")
		x.target.steps = nil
		x.start()
		x.holds("a=1 b=2 c=3")
		x.rebuilt(0)
		if diff := cmp.Diff([]string{"[c]"}, x.target.steps); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})
}

func TestFollowerFinishes(t *testing.T) {
	try(t, func(x *trial) {
		x.start()
		for range 100 {
			if err := x.table.commit("a=1"); err != nil {
				t.Fatal(err)
			}
			x.follower.Committed(x.table.end())
		}
		x.follower.Stop(true)
		if got := x.follower.Status(); got.Lag != 0 {
			t.Errorf("lag %d", got.Lag)
		}
		x.follower = nil
		x.holds("a=1")
	})
}

// A target that is in trouble holds up no stop.
func TestFollowerStopsInTrouble(t *testing.T) {
	try(t, func(x *trial) {
		x.start()
		x.set(func() { x.target.down = errors.New("connection refused") })
		x.commit("a=1")
		if got := x.follower.Status(); got.Err != "connection refused" || got.Lag != 2 {
			t.Errorf("status %+v", got)
		}
		began := time.Now()
		x.follower.Stop(true)
		if took := time.Since(began); took > 0 {
			t.Errorf("it waited for %v", took)
		}
	})
}

// An idle target that was emptied is filled again within a second.
func TestFollowerNoticesAnEmptiedTarget(t *testing.T) {
	try(t, func(x *trial) {
		x.start()
		x.commit("a=1", "b=2")
		x.set(func() { x.target.rows, x.target.place = map[string]string{}, topology.Place{} })
		time.Sleep(time.Second + 100*time.Millisecond)
		x.holds("a=1 b=2")
		x.rebuilt(1)
	})
}

// A target that was away is brought up to date, and not rebuilt.
func TestFollowerWaitsForItsTarget(t *testing.T) {
	try(t, func(x *trial) {
		x.start()
		x.commit("a=1")
		x.set(func() { x.target.down = errors.New("connection refused") })
		x.commit("a=2", "b=3")
		time.Sleep(time.Hour - time.Minute)
		x.holds("a=1")
		x.set(func() { x.target.down = nil })
		time.Sleep(2 * time.Second)
		x.holds("a=2 b=3")
		x.rebuilt(0)
		if got := x.follower.Status(); got.Err != "" || got.Lag != 0 {
			t.Errorf("status %+v", got)
		}
		if len(x.session.failed)+len(x.session.ended) > 0 {
			t.Errorf("session: %+v", x.session)
		}
	})
}

// Which errors end the session, and which the instance.
func TestFollowerErrors(t *testing.T) {
	down := errors.New("connection refused")
	refused := &topology.RefusedError{Err: errors.New("NOAUTH: set a password")}
	for name, test := range map[string]struct {
		answered bool
		breaks   func(*trial)
		failed   string
		ended    string
	}{
		"away from the start":       {false, func(x *trial) { x.target.down = down }, "", "connection refused (tried for 30s)"},
		"away later":                {true, func(x *trial) { x.target.down = down }, "", ""},
		"refuses from the start":    {false, func(x *trial) { x.target.down = refused }, "", "NOAUTH: set a password"},
		"refuses later":             {true, func(x *trial) { x.target.down = refused }, "", ""},
		"of somebody else":          {true, func(x *trial) { x.target.down = topology.ErrForeign }, "", topology.ErrForeign.Error()},
		"fenced, and not the owner": {true, func(x *trial) { x.target.down, x.session.lost = topology.ErrFenced, errors.New("not ours") }, "", ""},
		"table is damaged":          {true, func(x *trial) { x.table.failing = errTable }, errTable.Error(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(x *trial) {
				if test.answered {
					x.start()
				}
				x.set(func() { test.breaks(x) })
				if !test.answered {
					x.start()
				}
				x.commit("a=1")
				time.Sleep(time.Minute)
				x.mu.Lock()
				defer x.mu.Unlock()
				for _, told := range []struct {
					what string
					got  []string
					want string
				}{{"failed", x.session.failed, test.failed}, {"ended", x.session.ended, test.ended}} {
					if told.want == "" && len(told.got) > 0 || told.want != "" && (len(told.got) == 0 || told.got[0] != told.want) {
						t.Errorf("%s: %q, want %q", told.what, told.got, told.want)
					}
				}
			})
		})
	}
}

// A follower that was fenced takes the target back if its partition is still its
// own, and does not open the target if that is not known.
func TestFollowerFenced(t *testing.T) {
	try(t, func(x *trial) {
		x.start()
		x.commit("a=1")
		x.set(func() { x.session.lost = errors.New("not ours") })
		x.set(func() { x.target.place.Epoch += 100; x.target.opens = 0 })
		x.commit("a=2")
		time.Sleep(time.Minute)
		x.holds("a=1")
		x.set(func() {
			if n := x.target.opens; n > 0 {
				t.Errorf("opened %d times", n)
			}
		})
		x.set(func() { x.session.lost = nil })
		time.Sleep(3 * time.Second)
		x.holds("a=2")
		x.rebuilt(0)
	})
}

// A step whose answer is lost is made once more, and is a duplicate.
func TestFollowerRepeatsAStep(t *testing.T) {
	try(t, func(x *trial) {
		x.start()
		lost := 0
		x.config.Sink = &deaf{Sink: x.target, every: 2, lost: &lost}
		x.follower.Stop(false)
		x.start()
		for n := range 10 {
			x.commit(fmt.Sprintf("a=%d", n))
			time.Sleep(100 * time.Millisecond)
		}
		x.holds("a=9")
		x.rebuilt(0)
		if lost < 5 {
			t.Errorf("%d answers were lost", lost)
		}
		if got := x.counters.Rows.Load(); got != 10 {
			t.Errorf("%d rows, want 10", got)
		}
	})
}

// A deaf sink loses the answer of every so many steps.
type deaf struct {
	topology.Sink
	every, n int
	lost     *int
}

func (d *deaf) Apply(ctx context.Context, b topology.Batch) error {
	err := d.Sink.Apply(ctx, b)
	if d.n++; err == nil && len(b.Rows) > 0 && d.n%d.every == 0 {
		*d.lost++
		return errors.New("no answer")
	}
	return err
}
