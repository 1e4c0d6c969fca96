package processor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// A view shows a row when its transaction is committed, and not before.
func TestViewShowsWhatIsCommitted(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 1, nil)
	p, err := processor.New(c.hello(), processor.Config{Brokers: c.ListenAddrs(), StateDir: t.TempDir(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	view := processor.Query(p, hellos)
	ctx, cancel := context.WithCancel(context.Background())
	var sent atomic.Int64
	var seen sync.Map // by step
	p.OnStep(func(step int) {
		n := sent.Load()
		if n == 0 {
			return // it marks the partition as its own
		}
		want := n
		if step < 4 {
			want--
		}
		r, ok, err := view.Get(ctx, "testid-01")
		if err != nil || ok != (want > 0) || r.Value.Count != want {
			t.Errorf("after step %d of commit %d: %+v, %v, %v", step, n, r.Value, ok, err)
		}
		for r, err := range view.All(ctx) {
			if err != nil || r.Value.Count != want {
				t.Errorf("after step %d of commit %d: all rows are %+v, %v", step, n, r.Value, err)
			}
		}
		seen.Store(step, true)
	})
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	if err := p.Wait(ctx, processor.Running); err != nil {
		t.Fatal(err)
	}
	for n := range int64(5) {
		sent.Store(n + 1)
		c.produce(journal.Name, greeting(1, int(n+1)))
		eventually(t, func() error {
			if got := p.Status().Counts.Commits; got != n+2 {
				return fmt.Errorf("%d commits", got)
			}
			return nil
		})
	}
	sent.Store(0)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for step := 1; step <= 4; step++ {
		if _, ok := seen.Load(step); !ok {
			t.Errorf("step %d was not seen", step)
		}
	}
}

// A key whose partition is restored is not absent, and those of other partitions
// are served meanwhile.
func TestViewWhileRestoring(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	here, there := "testid-01", ""
	for n := 2; there == ""; n++ {
		if key := fmt.Sprintf("testid-%02d", n); topology.Partition([]byte(key), 2) != topology.Partition([]byte(here), 2) {
			there = key
		}
	}
	idle, err := processor.New(c.hello(), processor.Config{Brokers: c.ListenAddrs(), StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = processor.Query(idle, hellos).Get(t.Context(), here)
	if !errors.Is(err, processor.ErrRestoring) || !strings.Contains(err.Error(), "the processor is starting") {
		t.Errorf("before Run: %v", err)
	}

	i := c.start(c.hello(), nil)
	c.produce(journal.Name, greetings(100, 10)...)
	c.materialized(i)
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	stuck := c.open("hello-hello-state-store-table", topology.Raw{Key: []byte(here), Value: []byte(`{"state":"ANGRY"}`)})
	i = c.start(c.hello(), nil)
	view := processor.Query(i.Processor, hellos)
	eventually(t, func() error {
		r, ok, err := view.Get(t.Context(), there)
		if err != nil || !ok || r.Value.State != "HAPPY" {
			return fmt.Errorf("%s: %+v, %v, %w", there, r.Value, ok, err)
		}
		return nil
	})
	eventually(t, func() error { // it is opened first
		r, ok, err := view.Get(t.Context(), here)
		if !errors.Is(err, processor.ErrRestoring) {
			t.Fatalf("%s: %+v, %v, %v, want that it is restoring", here, r.Value, ok, err)
		}
		if !strings.Contains(err.Error(), "changelog records to read") {
			return err
		}
		return nil
	})
	if s := i.Status(); s.State != processor.Restoring || s.Tasks[0].Restore+s.Tasks[1].Restore < 1 {
		t.Errorf("status %+v", s)
	}
	for _, err = range view.All(t.Context()) {
	}
	if !errors.Is(err, processor.ErrRestoring) {
		t.Errorf("all rows end with %v", err)
	}
	if err := stuck.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	i.await(processor.Running)
	if r, ok, err := view.Get(t.Context(), here); err != nil || !ok || r.Value.State != "HAPPY" {
		t.Errorf("%s: %+v, %v, %v", here, r.Value, ok, err)
	}
	if _, ok, err := view.Get(t.Context(), "nobody"); err != nil || ok {
		t.Errorf("nobody: %v, %v", ok, err)
	}
}

// An advertised instance serves its handler at the address that it advertises.
func (c *cluster) advertised() *instance {
	c.t.Helper()
	var handler atomic.Pointer[http.Handler]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*handler.Load()).ServeHTTP(w, r)
	}))
	c.t.Cleanup(server.Close)
	i := c.start(c.hello(), func(cfg *processor.Config) { cfg.Advertise = server.Listener.Addr().String() })
	h := i.Handler()
	handler.Store(&h)
	return i
}

// share waits until each instance has a number of tasks, and runs.
func share(t *testing.T, tasks int, instances ...*instance) {
	t.Helper()
	eventually(t, func() error {
		for _, i := range instances {
			if s := i.Status(); len(s.Tasks) != tasks || s.State != processor.Running {
				return fmt.Errorf("%v, %d tasks", s.State, len(s.Tasks))
			}
		}
		return nil
	})
}

func TestViewOfTwoInstances(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 4, nil)
	one, two := c.advertised(), c.advertised()
	share(t, 2, one, two)
	c.produce(journal.Name, greetings(100, 20)...)
	c.materialized(one, two)
	for _, i := range []*instance{one, two} {
		view := processor.Query(i.Processor, hellos)
		for n := range 20 {
			r, ok, err := view.Get(t.Context(), fmt.Sprintf("testid-%02d", n))
			if err != nil || !ok || r.Value.Count != int64(80+n) {
				t.Errorf("key %d: %+v, %v, %v", n, r.Value, ok, err)
			}
		}
		if _, ok, err := view.Get(t.Context(), "nobody"); err != nil || ok {
			t.Errorf("nobody: %v, %v", ok, err)
		}
		all := map[string]int64{}
		for r, err := range view.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			all[r.Key] = r.Value.Count
		}
		if len(all) != 20 {
			t.Errorf("all rows are %v", all)
		}
	}
}

// A key that another instance has is not absent, whether that can be asked or not.
func TestViewOfAnInstanceThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{"at an address where it is not": nowhere, "without an address": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(journal.Name, 2, nil)
			one := c.start(c.hello(), nil)
			two := c.start(c.hello(), func(cfg *processor.Config) { cfg.Advertise = address })
			share(t, 1, one, two)
			c.produce(journal.Name, greetings(40, 20)...)
			c.materialized(one, two)
			elsewhere := 0
			view := processor.Query(one.Processor, hellos)
			for n := range 25 { // 20 that are there
				_, ok, err := view.Get(t.Context(), fmt.Sprintf("testid-%02d", n))
				var e *processor.ElsewhereError
				switch {
				case errors.As(err, &e):
					if elsewhere++; e.Owner != address {
						t.Errorf("owner %q, want %q", e.Owner, address)
					}
				case err != nil || ok != (n < 20):
					t.Errorf("key %d: %v, %v", n, ok, err)
				}
			}
			if elsewhere < 3 {
				t.Errorf("%d of 25 keys are elsewhere", elsewhere)
			}
			var last error
			for _, last = range view.All(t.Context()) {
			}
			if e := (*processor.ElsewhereError)(nil); !errors.As(last, &e) {
				t.Errorf("all rows end with %v", last)
			}
		})
	}
}

func TestViewWatch(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	i := c.start(c.hello(), nil)
	c.produce(journal.Name, greetings(40, 10)...)
	c.materialized(i)
	type row = topology.Record[string, *hello]
	rows, ended := make(chan row, 1000), make(chan error, 1)
	go func() {
		for r, err := range processor.Query(i.Processor, hellos).Watch(context.Background()) {
			if err != nil {
				ended <- err
				return
			}
			rows <- r
		}
		ended <- nil
	}()
	next := func(n int) map[string]int64 {
		t.Helper()
		got := map[string]int64{}
		for range n {
			select {
			case r := <-rows:
				if got[r.Key] = -1; r.Value != nil {
					got[r.Key] = r.Value.Count
				}
			case err := <-ended:
				t.Fatalf("it has ended: %v", err)
			case <-time.After(patience):
				t.Fatalf("only %v came", got)
			}
		}
		return got
	}
	first := map[string]int64{}
	for n := range 10 {
		first[fmt.Sprintf("testid-%02d", n)] = int64(30 + n)
	}
	if diff := cmp.Diff(first, next(10)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	for n := range 3 {
		c.produce(journal.Name, greeting(1, 50+n))
		if diff := cmp.Diff(map[string]int64{"testid-01": int64(50 + n)}, next(1)); diff != "" {
			t.Errorf("change %d (-want +got):\n%s", n, diff)
		}
	}
	c.produce(journal.Name, topology.Raw{Key: []byte("testid-02")})
	if diff := cmp.Diff(map[string]int64{"testid-02": -1}, next(1)); diff != "" {
		t.Errorf("deletion (-want +got):\n%s", diff)
	}

	// A reader that goes on would miss the changes of a partition that is lost.
	c.start(c.hello(), nil)
	select {
	case err := <-ended:
		if err == nil {
			t.Error("it ended without an error")
		}
	case <-time.After(patience):
		t.Error("it goes on without a partition")
	}
	if len(rows) > 0 {
		t.Errorf("%d rows more", len(rows))
	}
}

// Whatever the instances do, a key that exists is never said to be absent.
func TestViewWhileInstancesComeAndGo(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 3, nil)
	one := c.advertised()
	c.produce(journal.Name, greetings(60, 12)...)
	c.materialized(one)
	ctx, end := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	var right, unknown atomic.Int64
	read := func(i *instance) {
		view := processor.Query(i.Processor, hellos)
		reading.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				r, ok, err := view.Get(ctx, fmt.Sprintf("testid-%02d", n%12))
				e := (*processor.ElsewhereError)(nil)
				switch {
				case ctx.Err() != nil:
				case err == nil && ok && r.Value.State == "HAPPY":
					right.Add(1)
				case errors.Is(err, processor.ErrRestoring) || errors.As(err, &e):
					unknown.Add(1)
					time.Sleep(time.Millisecond)
				default:
					t.Errorf("key %d: %+v, %v, %v", n%12, r.Value, ok, err)
				}
			}
		})
		reading.Go(func() {
			for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
				rows := 0
				var err error
				for _, err = range view.All(ctx) {
					rows++
				}
				if e := (*processor.ElsewhereError)(nil); ctx.Err() == nil && (err == nil && rows != 12 || err != nil && !errors.Is(err, processor.ErrRestoring) && !errors.As(err, &e)) {
					t.Errorf("all are %d rows, and %v", rows, err)
				}
			}
		})
	}
	read(one)
	two := c.advertised()
	read(two)
	eventually(t, func() error {
		if n := len(two.Status().Tasks); n == 0 || two.Status().State != processor.Running {
			return fmt.Errorf("%d tasks", n)
		}
		return nil
	})
	if err := one.stop(); err != nil {
		t.Error(err)
	}
	share(t, 3, two)
	before := right.Load()
	eventually(t, func() error {
		if n := right.Load(); n < before+100 {
			return fmt.Errorf("%d answers", n)
		}
		return nil
	})
	if err := two.stop(); err != nil {
		t.Error(err)
	}
	end()
	reading.Wait()
	t.Logf("%d right answers, %d unknown", right.Load(), unknown.Load())
}

func TestViewOfNoSuchStore(t *testing.T) {
	t.Parallel()
	p, err := processor.New(minimal(t), processor.Config{Brokers: []string{nowhere}, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := processor.Query(p, hellos).Get(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), `store "hello-state-store": application "minimal" has none of this name`) {
		t.Errorf("error %v", err)
	}
}
