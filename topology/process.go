package topology

import (
	"errors"
	"fmt"
	"time"
)

// Process runs a step of your own. Setup is called when the step is declared, to
// learn what it opens, publishes to and waits for, and then once for each task;
// the function that it returns is called for each record. Setup may do nothing
// else with the context than that, and does the same each time.
//
// What the step keeps in variables of its own is lost when its task ends, and is
// not rolled back with a record that is processed again: only what lies in a store
// that it opened is kept, exactly once. An error, or a panic, goes where the policy
// for Process says, and leaves nothing behind in stores.
//
// Its result may be left unused. What needs the records of a key in one partition
// needs a Repartition behind it; see [ProcessValues].
func Process[K, V, K2, V2 any](s Stream[K, V], setup func(*Context[K2, V2]) func(Record[K, V]) error) Stream[K2, V2] {
	b, up := s.upstream()
	down := rekeyed[K, V, K2, V2](b, up, b.number("process"))
	declared := declareProcess(b, down, setup)
	up.feed(down.node, func(k *Task) step[K, V] {
		c, fn := startProcess(k, declared, down, setup)
		return startOwn(k, c, fn)
	})
	return Stream[K2, V2]{b, down}
}

// ProcessValues is Process for a step that leaves keys as they are: what it emits
// for a record has the record's key, whatever Key says, and what is behind it needs
// no Repartition. A timer of it may emit the keys that lie in its stores.
func ProcessValues[K, V, W any](s Stream[K, V], setup func(*Context[K, W]) func(Record[K, V]) error) Stream[K, W] {
	b, up := s.upstream()
	down := below[K, V, W](b, up, b.number("process values"))
	declared := declareProcess(b, down, setup)
	up.feed(down.node, func(k *Task) step[K, V] {
		c, fn := startProcess(k, declared, down, setup)
		own := startOwn(k, c, fn)
		return func(it *item[K, V]) error {
			c.key = it.key
			defer func() { c.key = nil }()
			return own(it)
		}
	})
	return Stream[K, W]{b, down}
}

// startOwn returns what calls the function of a step of one's own.
func startOwn[K, V, K2, V2 any](k *Task, c *Context[K2, V2], fn func(Record[K, V]) error) step[K, V] {
	at := c.declared.at
	return func(it *item[K, V]) error {
		if shown, err := it.look(k, at); !shown {
			return err
		}
		return c.run(it.time, it.headers, func() error {
			r := Record[K, V]{Key: it.key.v, Value: it.value.v, Time: timeOf(it.time), Headers: it.headers, Position: k.record.Position}
			if err := fn(r); err != nil {
				return k.refuse(at, k.policies.Process, err)
			}
			return nil
		})
	}
}

// A Context is what a step of your own has of its task. K and V are the types of
// the records that it emits. Only the functions of the step may use it, and what
// was opened by it, and only while they run.
type Context[K, V any] struct {
	scope
	key  *cell[K] // of what is emitted; nil if the step may choose it
	made *item[K, V]
	next step[K, V]
}

// Emit passes a record on. A zero Time and nil Headers are replaced by those of
// the record that is being processed, or by the time of the timer. What is
// downstream has processed it when Emit returns; if it could not, what is being
// processed fails when the step's function returns.
func (c *Context[K, V]) Emit(r Record[K, V]) {
	c.do("Emit", func() error {
		if err := fill(c.made, r, &c.scope); err != nil {
			return err
		}
		key := c.made.key
		if c.key != nil {
			c.made.key = c.key
			defer func() { c.made.key = key }()
		}
		return c.next(c.made)
	})
}

// fill makes an item of what a step gives out.
func fill[K, V any](it *item[K, V], r Record[K, V], s *scope) (err error) {
	it.key.set(r.Key, nil)
	it.value.set(r.Value, nil)
	it.time, it.headers = s.time, s.headers
	if r.Headers != nil {
		it.headers = r.Headers
	}
	if !r.Time.IsZero() {
		if it.time, err = recordTime(r.Time); err != nil {
			err = s.k.refuse(s.declared.at, s.k.policies.Process, fmt.Errorf("what it gives out: %w", err))
		}
	}
	return err
}

// A Clock is one of the two times that a task knows.
type Clock int

// Clocks.
const (
	// StreamTime is the newest time of the records that have come to steps of the
	// program's own in this task, the one that is being processed among them. What a
	// step before them drops does not move it. It stands still without records, and
	// goes on after a restart.
	StreamTime Clock = iota

	// WallTime is the time of day.
	WallTime
)

// Every calls fn when a clock has come to a multiple of interval since 1970, once
// for several that were missed, and after the record by which StreamTime came to
// it. Now is the clock's time. A timer by StreamTime is called for the first record
// of a partition, too; a restart neither repeats nor loses a call. A timer by
// WallTime that was due while no task ran is not made up for. An error ends the
// session: the records since the last commit are processed again. Interval is whole
// milliseconds.
//
// It is called in setup. Stop ends the timer for this task, not for the next one.
func (c *Context[K, V]) Every(interval time.Duration, by Clock, fn func(now time.Time) error) (stop func()) {
	s := &c.scope
	if err := checkTimer(interval, by, fn == nil); err != nil {
		s.mistake(err)
		return func() {}
	}
	if !s.opening("Every") || s.k == nil {
		return func() {}
	}
	t := s.k.every(s.declared.at, interval, by, func(now int64) error {
		return s.run(now, nil, func() error {
			if err := fn(timeOf(now)); err != nil {
				return fmt.Errorf("%s: %w", s.k.who, err)
			}
			return nil
		})
	})
	return func() { t.stopped = true }
}

func checkTimer(interval time.Duration, by Clock, missing bool) error {
	switch {
	case missing:
		return fmt.Errorf("the function of a timer of %v is nil", interval)
	case interval <= 0 || interval%time.Millisecond != 0:
		return fmt.Errorf("the interval of a timer is %v: it is to be whole milliseconds, and more than none", interval)
	case by != StreamTime && by != WallTime:
		return fmt.Errorf("the clock of a timer is %d: it is StreamTime or WallTime", by)
	}
	return nil
}

// Now returns the time by a clock.
func (c *Context[K, V]) Now(by Clock) (now time.Time) {
	c.do("Now", func() error {
		if now = c.k.Now(); by == StreamTime {
			now = timeOf(c.k.stream.now)
		}
		return nil
	})
	return now
}

// Publisher returns a function that publishes to a topic, which has both codecs,
// beside what the step emits. Zero times and nil headers are as with Emit. It is
// called in setup.
func Publisher[K, V, K2, V2 any](c *Context[K2, V2], to Topic[K, V]) func(Record[K, V]) {
	s := &c.scope
	none := func(Record[K, V]) { s.do("a Publisher", nil) }
	if !s.opening("Publisher") {
		return none
	}
	if s.k == nil {
		s.declared.publishes(to.Name)
		n := s.b.add("topic "+to.Name, s.declared.at)
		n.effect = true
		publishTo(s.b, n, &stream[K, V]{node: n}, to)
		return none
	}
	if !s.declared.topics[to.Name] {
		s.mistake(fmt.Errorf("topic %q was not published to when the step was declared", to.Name))
		return none
	}
	made, n := newItem(to.Key, to.Value), &node{name: "topic " + to.Name}
	return func(r Record[K, V]) {
		s.do("a Publisher", func() error {
			if err := fill(made, r, s); err != nil {
				return err
			}
			return send(s.k, n, made, to, true, true)
		})
	}
}

// declareProcess runs the setup of a step for the first time.
func declareProcess[K, V, K2, V2 any](b *Builder, down *stream[K2, V2], setup func(*Context[K2, V2]) func(Record[K, V]) error) *declaredStep {
	down.effect, down.calls, down.timed = true, true, true
	declared := &declaredStep{at: down.node, topics: map[string]bool{}}
	b.needs(down.node, setup == nil)
	if setup == nil {
		return declared
	}
	c := &Context[K2, V2]{scope: scope{declared: declared, b: b, setup: true}}
	defer func() {
		if p := recover(); p != nil {
			b.wrong("%s: setup: panic%s: %v", down.name, panicSite(), p)
		}
	}()
	if fn := setup(c); fn == nil {
		b.wrong("%s: setup returns no function", down.name)
	}
	c.setup = false
	return declared
}

// startProcess runs the setup of a step for a task.
func startProcess[K, V, K2, V2 any](k *Task, declared *declaredStep, down *stream[K2, V2], setup func(*Context[K2, V2]) func(Record[K, V]) error) (*Context[K2, V2], func(Record[K, V]) error) {
	k.timed()
	c := &Context[K2, V2]{
		scope: scope{declared: declared, k: k, setup: true},
		made:  newItem(down.key, down.value), next: down.start(k),
	}
	fn, err := setUp(c, setup)
	c.setup = false
	if err != nil {
		k.broken = errors.Join(k.broken, fmt.Errorf("%s: setup: %w", down.name, err))
	}
	return c, fn
}

func setUp[K, V, K2, V2 any](c *Context[K2, V2], setup func(*Context[K2, V2]) func(Record[K, V]) error) (fn func(Record[K, V]) error, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic%s: %v", panicSite(), p)
		}
	}()
	if fn = setup(c); fn == nil {
		return nil, errors.New("it returns no function")
	}
	err, c.err = c.err, nil
	return fn, err
}
