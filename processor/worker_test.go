package processor_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// workerVariable makes the test binary a worker: a process with one count
// processor, which can be killed.
const workerVariable = "TIDEMARK_TEST_WORKER"

// A workerSpec says what a worker does.
type workerSpec struct {
	Brokers []string
	Redis   string
	Dir     string
	Shop    bool   // of the shop; else it counts
	Market  bool   // of the market
	Least   bool   // guarantee AtLeastOnce
	Prefix  string // of all names of a count
	Session time.Duration
	Step    int // of a commit after which it kills itself, 0 for never
	Commit  int // of which commit with records, from 1
}

// work is the worker's main. It ends in good order on SIGTERM, and waits
// in a commit from one SIGUSR1 to the next.
func work(spec string) (code int) {
	var w workerSpec
	if err := json.Unmarshal([]byte(spec), &w); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	cfg := processor.Config{
		Brokers: w.Brokers, StateDir: w.Dir, SessionTimeout: cmp.Or(w.Session, 3*time.Second), CommitInterval: 20 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	if w.Least {
		cfg.Guarantee = processor.AtLeastOnce
	}
	topo := func(t testing.TB, redis string) *topology.Topology { return prefixedCount(t, redis, w.Prefix) }
	switch {
	case w.Shop:
		topo = shopTopology
	case w.Market:
		topo = marketTopology
	}
	p, err := processor.New(topo(failing{}, w.Redis), cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	freeze := make(chan os.Signal, 1)
	signal.Notify(freeze, syscall.SIGUSR1)
	commits, published := 0, int64(0)
	var one sync.Mutex // groups commit beside each other
	p.OnStep(func(step int) {
		one.Lock()
		defer one.Unlock()
		if now := p.Status().Counts.Published; now > published { // not one that only marks partitions
			commits, published = commits+1, now
			select {
			case <-freeze:
				fmt.Fprintln(os.Stderr, frozen)
				<-freeze
			default:
			}
		}
		if step == w.Step && commits == w.Commit {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := p.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// failing is the testing.TB of a worker, which has no test.
type failing struct{ testing.TB }

func (failing) Helper()           {}
func (failing) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// A worker is a process of this binary with one count processor.
type worker struct {
	*exec.Cmd
	t     testing.TB
	dir   string
	log   logBuffer
	ended chan struct{}
	err   error // of Wait
}

// spawn starts a worker. It is killed at the end of the test.
func (c *cluster) spawn(w workerSpec) *worker {
	c.t.Helper()
	w.Brokers, w.Redis = c.ListenAddrs(), c.redis.Addr()
	return spawn(c.t, w)
}

func spawn(t testing.TB, w workerSpec) *worker {
	t.Helper()
	spec, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	k := &worker{Cmd: exec.Command(os.Args[0]), t: t, dir: w.Dir, ended: make(chan struct{})}
	k.Env = append(os.Environ(), workerVariable+"="+string(spec))
	k.Stdout, k.Stderr = &k.log, &k.log
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(k.ended)
		k.err = k.Wait()
	}()
	t.Cleanup(func() {
		_ = k.Process.Kill()
		<-k.ended
		if t.Failed() {
			t.Logf("log of worker %d:\n%s", k.Process.Pid, &k.log)
		}
	})
	return k
}

const frozen = "frozen in a commit"

// freeze has the worker's next commit with records wait after step 1, while
// records come in.
func (c *cluster) freeze(k *worker) {
	c.t.Helper()
	k.signal(syscall.SIGUSR1)
	c.until(func() bool { return k.log.contains(frozen) })
}

func (k *worker) signal(s os.Signal) {
	k.t.Helper()
	if err := k.Process.Signal(s); err != nil {
		k.t.Fatal(err)
	}
}

// killed waits until the worker is dead by SIGKILL.
func (k *worker) killed() {
	k.t.Helper()
	select {
	case <-k.ended:
	case <-time.After(patience):
		k.t.Fatalf("worker %d lives", k.Process.Pid)
	}
	if status, ok := k.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		k.t.Fatalf("worker %d: %v, want that it was killed:\n%s", k.Process.Pid, k.err, bytes.TrimSpace([]byte(k.log.String())))
	}
}
