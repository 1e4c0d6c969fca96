package processor

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// holds keep tasks from processing which write to partitions that the brokers do not
// take records for. A session has one transaction for all of its tasks, which one such
// task would have aborted again and again. It is tried again after a pause that
// doubles, and serves its table meanwhile. Holds are safe for concurrent use.
type holds struct {
	any atomic.Bool // of is not empty
	mu  sync.Mutex
	of  map[topology.Position]*hold // by topic and partition
}

type hold struct {
	until time.Time
	pause time.Duration
	cause error
	tasks map[int32]bool // known to write there
}

const (
	firstHold = 500 * time.Millisecond
	lastHold  = 15 * time.Second
)

// A heldError means that a task was about to write to a place that is held.
type heldError struct {
	at   topology.Position
	task int32
}

func (e *heldError) Error() string {
	return fmt.Sprintf("task %d writes to %s/%d, which takes no records for now", e.task, e.at.Topic, e.at.Partition)
}

// take holds the place that an error is about, and tells whether there is one: which
// could not be written for now, or to which another task writes than those known.
func (h *holds) take(g *topology.Group, err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e, ok := errors.AsType[*heldError](err); ok {
		if held := h.of[e.at]; held != nil {
			held.tasks[e.task] = true
		}
		return true
	}
	e, ok := errors.AsType[*kafka.ProduceError](err)
	if !ok || !passes(err) {
		return false
	}
	at := topology.Position{Topic: e.Topic, Partition: e.Partition}
	held := h.of[at]
	if held == nil {
		held = &hold{tasks: map[int32]bool{}}
		if slices.ContainsFunc(g.Stores, func(s topology.StateStore) bool { return s.Changelog == e.Topic }) {
			held.tasks[e.Partition] = true
		}
	}
	held.pause = min(max(2*held.pause, firstHold), lastHold)
	held.until, held.cause = time.Now().Add(held.pause), cured(err)
	if h.of == nil {
		h.of = map[topology.Position]*hold{}
	}
	h.of[at] = held
	h.any.Store(true)
	return true
}

// check returns an error if a place is held, to which a task is about to write. It
// costs next to nothing if nothing is held.
func (h *holds) check(task int32, topic string, partition int32) error {
	if !h.any.Load() {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	at := topology.Position{Topic: topic, Partition: partition}
	if held := h.of[at]; held != nil && time.Now().Before(held.until) {
		return &heldError{at, task}
	}
	return nil
}

// get returns the longest hold of a task.
func (h *holds) get(task int32) (longest hold, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, held := range h.of {
		if held.tasks[task] && held.until.After(longest.until) {
			longest, ok = *held, true
		}
	}
	return longest, ok
}

// release forgets the places that a task was held for, since it has committed, and
// those that no task is known to write to.
func (h *holds) release(task int32) {
	if !h.any.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.of, func(_ topology.Position, held *hold) bool {
		return (held.tasks[task] || len(held.tasks) == 0) && time.Now().After(held.until)
	})
	h.any.Store(len(h.of) > 0)
}

// awaitHold returns when the task may process: its partition is not held, or not
// any longer, or the task is to end.
func (t *task) awaitHold() {
	held, ok := t.member.holds.get(t.partition)
	if !ok || time.Now().After(held.until) {
		return
	}
	what, at := "topics to take records", fmt.Sprintf("%s/%d", t.group.Name, t.partition)
	t.processor.waits.Set(what, at, held.cause)
	defer t.processor.waits.Clear(what, at)
	over := time.NewTimer(time.Until(held.until))
	defer over.Stop()
	select {
	case <-over.C:
	case <-t.claimed.Done():
	}
}
