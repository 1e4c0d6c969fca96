package processor_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A JoinGroup that was given up and arrives late fences its own member, who is no
// double: the member joins again. Kafka Streams shuts the application down.
func TestFencedByItself(t *testing.T) {
	c, i := counting(t, 1)
	c.fail(kmsg.Heartbeat, kerr.FencedInstanceID, 1)
	c.until(func() bool { return i.Status().Counts.Sessions > 1 })
	c.sound(i)
}

// Two processes with one identity fence each other by turns: that does not go on.
func TestFencedByAnother(t *testing.T) {
	c, i := counting(t, 1)
	c.fail(kmsg.Heartbeat, kerr.FencedInstanceID, 1)
	c.until(func() bool { return i.Status().Counts.Sessions > 1 })
	c.fail(kmsg.Heartbeat, kerr.FencedInstanceID, 1)
	if got, want := i.failed(), "does another process run with a copy of the state directory"; !strings.Contains(got, want) {
		t.Errorf("error %q, want %q in it", got, want)
	}
}

// A transaction is aborted by its timeout while the instance, which stands still in
// a commit, goes on sending heartbeats. Its commit is refused, and all of it is
// done again.
func TestTransactionTimesOut(t *testing.T) {
	c, w := workerCounting(t)
	c.drained("count-"+counted.Name, journal.Name)
	c.freeze(w)
	c.until(func() bool { return c.unstable() > 0 }) // its records were sent, and are on their way
	began := time.Now()
	eventually(t, func() error {
		if n := c.unstable(); n > 0 {
			return fmt.Errorf("%d partitions have an open transaction", n)
		}
		return nil
	})
	if took := time.Since(began); took < 5*time.Second {
		t.Errorf("the transaction ended after %v", took)
	}
	w.signal(syscall.SIGUSR1)
	c.counted()
	w.signal(syscall.SIGTERM)
	<-w.ended
	if w.err != nil {
		t.Errorf("the worker ended with %v", w.err)
	}
}
