package topology

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-dev/tidemark/topology/internal/wire"
)

// A Task runs one partition of a group. It does no I/O but reading rows: the
// same rows, records, clocks and calls give the same writes. It is not safe for
// concurrent use.
type Task struct {
	// Now tells steps the time of day. Defaults to time.Now.
	Now func() time.Time

	// Limits returns what a topic takes of a record: a changelog or an output. It is
	// asked once for each topic, and again before something is refused. Defaults to no
	// limits.
	Limits func(topic string) Limits

	// Outdated tells whether the limits of a topic may have changed since the broker was
	// asked for them. A call that would be refused by such limits returns an
	// *OutdatedError, leaves nothing behind, and can be made again. Defaults to never.
	Outdated func(topic string) bool

	group       *Group
	partition   int32
	application Policies
	inputs      map[string]*taskInput
	last        *taskInput // of the newest record
	stores      map[string]*rows
	started     map[*node]any // step[K, V] of what is downstream of each
	shared      map[*node]any // what the sides of a step share
	restored    map[string]int64
	clocks      []*clock
	stream      *clock // of steps of the program's own; nil if there is none
	timers      []*timer
	expiries    []*expiry
	broken      error // a step could not be started

	// Of the call under way.
	record   Raw
	time     int64    // of the record; math.MinInt64 if there is none
	policies Policies // of the record's topic
	writes   Writes
	dirty    []*rows // stores that were written
	at       *node   // what runs, for the error that a panic becomes; nil while Rows do
	policy   Policy
	who      string // what runs that no record has asked for, for errors

	limits     map[string]*Limits
	unwritable error // why an effect of the call cannot be written
}

// A taskInput is one topic that a task reads.
type taskInput struct {
	topic    string
	at       *node
	policies Policies
	process  func(time int64) error
	time     func(r *Raw) (int64, error)
}

// Writes are the effects of one call, in order. The caller makes them durable.
// Both slices are used again by the next call.
type Writes struct {
	Rows    []Row    // their bytes are valid until the next call
	Records []Output // to publish; their bytes are the record's, or new

	// Dropped says that a step left the record out: it has no key where one is
	// needed, no value where a function needs one, or comes too late for its window.
	Dropped bool

	// DropReason says why, if Dropped.
	DropReason DropReason

	// Refused are effects of timers that their topics do not take, and that the
	// policy for Write leaves out.
	Refused []Refusal
}

// A Refusal is an effect that was left out.
type Refusal struct {
	Output
	Policy Policy // Skip or DeadLetter
	Err    error
}

// An Output is a record to publish. Topic, Key, Value, Time and Headers are set.
type Output struct {
	Raw

	// PartitionKey is what decides about the partition: the key, or a part of it.
	// Nil for a record without a key, which may lie anywhere.
	PartitionKey []byte
}

// NewTask returns the task of one partition. Open is asked once for the rows of
// each of the group's stores and global tables; clocks are what the last task of
// the partition has left, "" for the first. The policies are the application's,
// for topics that say nothing.
func (g *Group) NewTask(partition int32, open func(store string) Rows, clocks string, application Policies) (*Task, error) {
	restored, err := wire.ParseClocks(clocks)
	if err != nil {
		return nil, err
	}
	k := &Task{
		Now: time.Now, group: g, partition: partition, application: application, restored: restored,
		inputs: map[string]*taskInput{}, stores: map[string]*rows{}, started: map[*node]any{}, shared: map[*node]any{},
		limits: map[string]*Limits{},
	}
	for i := range g.Stores {
		s := &g.Stores[i]
		k.stores[s.Name] = &rows{Rows: open(s.Name), k: k, state: s, next: math.MinInt64}
	}
	for i := range g.Globals {
		name := g.Globals[i].Store
		k.stores[name] = &rows{Rows: open(name), k: k, state: &StateStore{Name: name}, next: never}
	}
	for _, topic := range g.Inputs {
		k.inputs[topic] = g.inputs[topic].start(k)
	}
	return k, k.broken
}

// Process passes a record of one of the group's inputs through every step that
// it feeds, and then runs what is due by the time of records. An error leaves
// nothing behind. It is a *RecordError if the record is to blame; any other comes
// from Rows, or from a timer.
func (k *Task) Process(r Raw) (w Writes, err error) {
	in := k.last // most records come from where the one before came from
	if in == nil || in.topic != r.Topic {
		if in = k.inputs[r.Topic]; in == nil {
			return Writes{}, fmt.Errorf("group %s does not read topic %q", k.group.Name, r.Topic)
		}
		k.last, k.policies = in, in.policies
	}
	k.record = r
	return k.call(func() error {
		k.at, k.policy = in.at, k.policies.Process
		at, err := in.time(&k.record)
		if err != nil {
			return k.refuse(in.at, k.policies.Decode, err)
		}
		k.time = at
		if err := in.process(at); err != nil {
			return err
		}
		return k.passed()
	})
}

// passed runs what is due now that the record was processed.
func (k *Task) passed() error {
	for _, e := range k.expiries {
		if err := k.expire(e); err != nil {
			return err
		}
	}
	if k.stream == nil || k.stream.now == math.MinInt64 {
		return nil
	}
	return k.fire(false, k.stream.now)
}

// Time returns when a record of one of the group's inputs happened: what the
// topic's Time function says, else the record's own time. Records of several
// inputs are given to Process in the order of their times. It is the zero time for
// a record whose time Process will refuse, which so holds up no other.
func (k *Task) Time(r Raw) (at time.Time) {
	in := k.inputs[r.Topic]
	if in == nil {
		return r.Time
	}
	defer func() {
		if recover() != nil { // Process will say so
			at = r.Time
		}
	}()
	millis, err := in.time(&r)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

// call runs one call: its writes come out together, or not at all.
func (k *Task) call(run func() error) (w Writes, err error) {
	k.writes = Writes{Rows: again(k.writes.Rows), Records: again(k.writes.Records)}
	k.unwritable = nil
	for _, c := range k.clocks {
		c.saved = c.now
	}
	for _, t := range k.timers {
		t.saved = t.timerState
	}
	defer func() {
		if p := recover(); p != nil {
			w, err = Writes{}, k.panicked(p)
		}
		for _, r := range k.dirty {
			r.forget(err != nil)
		}
		k.dirty = k.dirty[:0]
		if err != nil {
			for _, c := range k.clocks {
				c.now = c.saved
			}
			for _, t := range k.timers {
				t.timerState = t.saved
			}
			k.who = ""
		}
	}()
	if err := run(); err != nil {
		return Writes{}, err
	}
	if k.unwritable != nil {
		return Writes{}, k.unwritable
	}
	if len(k.dirty) == 1 { // mostly: no need to gather them
		w = k.writes
		w.Rows = k.dirty[0].written
		return w, nil
	}
	for _, r := range k.dirty {
		k.writes.Rows = append(k.writes.Rows, r.written...)
	}
	return k.writes, nil
}

// again empties a slice to be used again, or lets go of one that was very large.
func again[T any](s []T) []T {
	if cap(s) > 10_000 {
		return nil
	}
	return s[:0]
}

// changed notes that the call has written to a store.
func (k *Task) changed(r *rows) {
	if !slices.Contains(k.dirty, r) {
		k.dirty = append(k.dirty, r)
	}
}

// publish adds a record to the call's writes.
func (k *Task) publish(topic string, key, partitionKey, value []byte, time_ int64, headers []Header) {
	o := Output{
		Raw:          Raw{Key: key, Value: value, Time: time.UnixMilli(time_), Headers: headers, Position: Position{Topic: topic}},
		PartitionKey: partitionKey,
	}
	if l := k.limitsOf(topic); l.plainly(key, value, headers) || k.takes(l, o) {
		k.writes.Records = append(k.writes.Records, o)
	}
}

// refuse returns the error of a step, which blames the record if there is one.
func (k *Task) refuse(at *node, p Policy, err error) error {
	if k.who != "" {
		return fmt.Errorf("%s: %s: %w", k.who, at.name, err)
	}
	return &RecordError{Position: k.record.Position, Node: at.name, Policy: p, Err: err}
}

func (k *Task) panicked(p any) error {
	err, ok := p.(error)
	if !ok {
		err = fmt.Errorf("%v", p)
	}
	err = fmt.Errorf("panic%s: %w", panicSite(), err)
	switch {
	case k.who != "":
		return fmt.Errorf("%s: %w", k.who, err)
	case k.at == nil:
		return err
	}
	return k.refuse(k.at, k.policy, err)
}

// panicSite returns " at <file>:<line>" of the panic that is being recovered
// from.
func panicSite() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	panicking := false
	for {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			panicking = true
		case panicking && !strings.HasPrefix(f.Function, "runtime."):
			return " at " + position(f)
		}
		if !more {
			return ""
		}
	}
}
