package processor

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// holds keep the tasks of some partitions from processing: those whose changelog
// the brokers do not take records for. A session has one transaction for all of
// its tasks, which one such task would have aborted again and again. It is tried
// again after a pause that doubles, and serves its table meanwhile. Holds are
// safe for concurrent use.
type holds struct {
	mu sync.Mutex
	of map[int32]hold // by partition
}

type hold struct {
	until time.Time
	pause time.Duration
	cause error
}

const (
	firstHold = 500 * time.Millisecond
	lastHold  = 15 * time.Second
)

// take holds the partition that an error is about, and tells whether there is one:
// whose changelog could not be written for now.
func (h *holds) take(g *topology.Group, err error) bool {
	e, ok := errors.AsType[*kafka.ProduceError](err)
	if !ok || !passes(err) || !slices.ContainsFunc(g.Stores, func(s topology.StateStore) bool { return s.Changelog == e.Topic }) {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of == nil {
		h.of = map[int32]hold{}
	}
	pause := min(max(2*h.of[e.Partition].pause, firstHold), lastHold)
	h.of[e.Partition] = hold{time.Now().Add(pause), pause, cured(err)}
	return true
}

func (h *holds) get(partition int32) (hold, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	held, ok := h.of[partition]
	return held, ok
}

// release forgets a partition, which has been committed.
func (h *holds) release(partition int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.of, partition)
}

// awaitHold returns when the task may process: its partition is not held, or not
// any longer, or the task is to end.
func (t *task) awaitHold() {
	held, ok := t.member.holds.get(t.partition)
	if !ok || time.Now().After(held.until) {
		return
	}
	what, place := "changelogs to take records", fmt.Sprintf("%s/%d", t.group.Name, t.partition)
	t.processor.waits.Set(what, place, held.cause)
	defer t.processor.waits.Clear(what, place)
	over := time.NewTimer(time.Until(held.until))
	defer over.Stop()
	select {
	case <-over.C:
	case <-t.claimed.Done():
	}
}
