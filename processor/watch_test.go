package processor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/processor"
)

// cpu returns the time that the process has worked.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Watches are told of commits: they cost nothing while nothing happens, and
// leave nothing behind. It is not parallel, since it measures the process.
func TestIdleWatchesCostNothing(t *testing.T) {
	const watches = 1200
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	i := c.start(c.hello(), nil)
	i.await(processor.Running)
	c.produce(journal.Name, greeting(1, 1))
	c.materialized(i)
	idle := func() time.Duration {
		began := cpu(t)
		time.Sleep(2 * time.Second) // what is measured is that nothing happens
		return (cpu(t) - began) / 2
	}
	alone, before := idle(), runtime.NumGoroutine()

	ctx, stop := context.WithCancel(t.Context())
	var rows atomic.Int64
	var watching sync.WaitGroup
	for range watches {
		watching.Go(func() {
			for _, err := range processor.Query(i.Processor, hellos).Watch(ctx) {
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				rows.Add(1)
			}
		})
	}
	seen := func(n int64) {
		t.Helper()
		eventually(t, func() error {
			if got := rows.Load(); got < n*watches {
				return fmt.Errorf("%d rows, want %d", got, n*watches)
			}
			return nil
		})
	}
	seen(1)
	cost := idle() - alone
	t.Logf("an idle instance takes %v a second; %d watches add %v", alone, watches, cost)
	if cost > 100*time.Millisecond {
		t.Errorf("%d idle watches take %v a second", watches, cost)
	}

	c.produce(journal.Name, greeting(2, 2)) // they still hear of changes
	seen(2)
	stop()
	watching.Wait()
	eventually(t, func() error {
		if n := runtime.NumGoroutine(); n > before+20 {
			return fmt.Errorf("%d goroutines, %d before", n, before)
		}
		return nil
	})
}

// Sessions that end and begin again leave nothing behind.
func TestSessionsLeaveNothingBehind(t *testing.T) {
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	i := c.start(c.hello(), nil)
	i.await(processor.Running)
	again := func(times int64) {
		t.Helper()
		for range times {
			n := i.Status().Counts.Sessions
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Group: "hello-hello-state-store", Err: kerr.UnknownServerError})
			c.produce(journal.Name, greeting(1, int(n)))
			eventually(t, func() error {
				if s := i.Status(); s.Counts.Sessions <= n || s.State != processor.Running || s.Waiting != nil {
					return fmt.Errorf("session %d, %v, waiting for %v", s.Counts.Sessions, s.State, s.Waiting)
				}
				return nil
			})
		}
	}
	again(2)
	before := runtime.NumGoroutine()
	again(8)
	eventually(t, func() error {
		if n := runtime.NumGoroutine(); n > before+10 {
			return fmt.Errorf("%d goroutines, %d before", n, before)
		}
		return nil
	})
}
