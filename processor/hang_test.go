package processor_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// silent returns an address that accepts connections and never answers.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var held []net.Conn
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			held = append(held, c)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range held {
			_ = c.Close()
		}
	})
	return l.Addr().String()
}

func TestStartTimeoutWithSilentBroker(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	at := silent(t)
	began := time.Now()
	i := c.start(c.hello(), func(cfg *processor.Config) {
		cfg.Brokers, cfg.StartTimeout = []string{at}, 5*time.Second
	})
	i.waits("Kafka at " + at + " for ")
	<-i.ended
	if took := time.Since(began); took < 5*time.Second || took > 6*time.Second {
		t.Errorf("Run returned after %v, want 5s", took)
	}
	if got, want := fmt.Sprint(i.err), "Kafka at "+at+": no answer: are these the addresses of its brokers, and does it want TLS? (tried for 5s)"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
	if n := strings.Count(i.log.String(), "msg=waiting"); n != 1 {
		t.Errorf("said %d times that it waits, want once in 5s:\n%s", n, i.log)
	}
}

// A TLS handshake that is not answered is bounded, too.
func TestStartTimeoutWithSilentBrokerAndTLS(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	at := silent(t)
	began := time.Now()
	i := c.start(c.hello(), func(cfg *processor.Config) {
		cfg.Brokers, cfg.StartTimeout = []string{at}, time.Second
		cfg.Kafka = sarama.NewConfig()
		cfg.Kafka.Net.TLS.Enable = true
	})
	<-i.ended
	if took := time.Since(began); took > 2*time.Second || i.err == nil || !strings.Contains(i.err.Error(), "no answer") {
		t.Errorf("Run returned %v after %v", i.err, took)
	}
}

func TestStopWhileBrokerIsSilent(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	at := silent(t)
	i := c.start(c.hello(), func(cfg *processor.Config) { cfg.Brokers = []string{at} })
	i.waits("Kafka at " + at)
	i.promptly(time.Second)
}

// promptly stops an instance, which has a time for it.
func (i *instance) promptly(within time.Duration) {
	i.t.Helper()
	began := time.Now()
	i.cancel()
	select {
	case <-i.ended:
	case <-time.After(patience):
		i.t.Fatalf("Run goes on: %+v", i.Status())
	}
	if took := time.Since(began); took > within {
		i.t.Errorf("Run returned after %v, want %v at most", took, within)
	}
}

// Requests that are not answered hold up no start and no stop.
func TestStopWhileRequestsHang(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]kmsg.Key{
		"topics": kmsg.CreateTopics, "configuration": kmsg.DescribeConfigs, "producer": kmsg.InitProducerID,
		"coordinator": kmsg.FindCoordinator, "join": kmsg.JoinGroup,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(journal.Name, 2, nil)
			hung := c.hang(key)
			i := c.start(c.hello(), nil)
			<-hung
			i.promptly(time.Second)
			if i.err != nil {
				t.Errorf("Run: %v", i.err)
			}
		})
	}
}

func TestDrainTimeoutWhileRequestsHang(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]kmsg.Key{"leave": kmsg.LeaveGroup, "end": kmsg.EndTxn, "offsets": kmsg.TxnOffsetCommit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(journal.Name, 2, nil)
			i := c.start(c.hello(), func(cfg *processor.Config) { cfg.DrainTimeout = time.Second })
			i.await(processor.Running)
			hung := c.hang(key)
			if key != kmsg.LeaveGroup {
				c.produce(journal.Name, greeting(1, 1))
				<-hung
			}
			i.promptly(2 * time.Second)
			if i.err == nil || !strings.HasPrefix(i.err.Error(), "not everything was committed within 1s") {
				t.Errorf("error %v", i.err)
			}
		})
	}
}

// hang has requests of a kind wait until the end of the test. It tells of each.
func (c *cluster) hang(key kmsg.Key) <-chan struct{} {
	hung, end := make(chan struct{}, 1000), make(chan struct{})
	c.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		hung <- struct{}{}
		c.SleepControl(func() { <-end })
		return nil, nil, false
	})
	c.t.Cleanup(func() { close(end) })
	return hung
}

// A function that does not return is left behind, and keeps the directory.
func TestFunctionOutlastsDrainTimeout(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 1, nil)
	entered, leave := make(chan struct{}), make(chan struct{})
	b := topology.NewBuilder("stuck")
	topology.Materialize(b, journal, hellos)
	topology.ForEach(topology.Consume(b, journal), func(string, hello) {
		close(entered)
		<-leave
	})
	topo := build(t, b)
	i := c.start(topo, func(cfg *processor.Config) { cfg.DrainTimeout = 100 * time.Millisecond })
	c.produce(journal.Name, greeting(1, 1))
	<-entered
	i.promptly(1100 * time.Millisecond)

	p, err := processor.New(topo, processor.Config{Brokers: c.ListenAddrs(), StateDir: i.dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "a Run in this one whose last function has not returned") {
		t.Errorf("another one on the directory: %v", err)
	}
	close(leave)
	eventually(t, func() error { // when it has, the directory is free
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p, err := processor.New(topo, processor.Config{Brokers: c.ListenAddrs(), StateDir: i.dir})
		if err != nil {
			return err
		}
		return p.Run(ctx)
	})
}

// What is waited for is said at once, wherever somebody looks.
func TestWaitsAreSeenEverywhere(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		key      kmsg.Key
		before   bool // it hangs before the start
		what     string
		endpoint string
	}{
		"join":   {kmsg.JoinGroup, true, "waiting for group hello-hello-state-store to share its partitions out for ", "readyz"},
		"start":  {kmsg.InitProducerID, true, "waiting for the coordinators of group hello-hello-state-store for ", "readyz"},
		"commit": {kmsg.EndTxn, false, "waiting for Kafka to take a commit of group hello-hello-state-store for ", ""},
		"topics": {kmsg.DescribeConfigs, true, "waiting for the topics to be looked at for ", "readyz"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(journal.Name, 2, nil)
			if test.before {
				c.hang(test.key)
			}
			i := c.start(c.hello(), func(cfg *processor.Config) { cfg.DrainTimeout = 100 * time.Millisecond })
			if !test.before {
				i.await(processor.Running)
				c.produce(journal.Name, greeting(1, 1))
				c.materialized(i)
				c.hang(test.key)
				c.produce(journal.Name, greeting(2, 2))
			}
			i.waits(test.what)
			if test.endpoint != "" {
				w := httptest.NewRecorder()
				i.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/"+test.endpoint, nil))
				if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), test.what) || !strings.Contains(w.Body.String(), `"waiting":[{"what":`) {
					t.Errorf("/%s: %d %s", test.endpoint, w.Code, w.Body)
				}
			}
		})
	}
}

// Too few replicas in sync are named at once, and that they are back.
func TestTooFewReplicasAreNamed(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	i := c.start(c.hello(), nil)
	i.await(processor.Running)
	c.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: 5,
		When: func(r kmsg.Request) bool { return r.(*kmsg.ProduceRequest).TransactionID != nil },
	})
	c.produce(journal.Name, greeting(1, 1))
	i.waits("in-sync replicas")
	c.materialized(i)
	eventually(t, func() error {
		if w := i.Status().Waiting; w != nil {
			return fmt.Errorf("still waits: %v", w)
		}
		return nil
	})
	eventually(t, func() error {
		if !i.log.contains("waits no longer") {
			return errors.New("its end is not in the log")
		}
		return nil
	})
	if n := strings.Count(i.log.String(), "msg=waiting for=\"the next session"); n > 2 {
		t.Errorf("said %d times:\n%s", n, i.log)
	}
}
