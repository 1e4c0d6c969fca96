package processor_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// An instance is a processor at work, with a state directory of its own.
type instance struct {
	*processor.Processor
	t      testing.TB
	dir    string
	log    *logBuffer
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // what Run returned
}

// start runs a processor. change may change its configuration; it keeps the
// state directory of an instance that has stopped if given its dir. The
// instance is stopped at the end of the test.
func (c *cluster) start(topo *topology.Topology, change func(*processor.Config)) *instance {
	c.t.Helper()
	i := &instance{t: c.t, log: &logBuffer{}, ended: make(chan struct{})}
	cfg := processor.Config{
		Brokers: c.ListenAddrs(), StateDir: c.t.TempDir(), SessionTimeout: 3 * time.Second, CommitInterval: 20 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(i.log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	i.dir = cfg.StateDir
	var err error
	if i.Processor, err = processor.New(topo, cfg); err != nil {
		c.t.Fatal(err)
	}
	var ctx context.Context
	ctx, i.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(i.ended)
		i.err = i.Run(ctx)
	}()
	c.t.Cleanup(func() {
		i.cancel()
		<-i.ended
		if c.t.Failed() {
			c.t.Logf("log of %s:\n%s", i.dir, i.log)
		}
	})
	return i
}

// keep has an instance use an existing state directory.
func keep(dir string) func(*processor.Config) {
	return func(cfg *processor.Config) { cfg.StateDir = dir }
}

// await waits until the instance is in a state.
func (i *instance) await(s processor.State) {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := i.Wait(ctx, s); err != nil {
		i.t.Fatal(err)
	}
}

// stop stops the instance in good order, and returns what Run returned.
func (i *instance) stop() error {
	i.cancel()
	<-i.ended
	return i.err
}

// rows adds the rows of the instance's partitions, as bytes.
func (i *instance) rows(store string, to map[string]string) error {
	for r, err := range i.Rows(context.Background(), store) {
		if err != nil {
			return err
		}
		if _, twice := to[string(r.Key)]; twice {
			return fmt.Errorf("two instances have the key %q", r.Key)
		}
		to[string(r.Key)] = string(r.Value)
	}
	return nil
}

// A logBuffer keeps what an instance has logged.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBuffer) contains(text string) bool { return strings.Contains(b.String(), text) }
