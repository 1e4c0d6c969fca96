package processor

import (
	"context"
	"iter"
	"sync"
)

// A life is the state of a processor and those who watch it.
type life struct {
	mu      sync.Mutex
	begun   bool
	state   State
	err     error // why it failed
	watches map[*watch]struct{}
}

// A watch is one who follows the states. Its fields are guarded by the life's
// lock.
type watch struct {
	next []State // that it has not seen
	wake chan struct{}
}

// start tells whether it is the first.
func (l *life) start() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := !l.begun
	l.begun = true
	return first
}

func (l *life) now() (State, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.err
}

// set changes the state, unless it is final or stopping goes on.
func (l *life) set(s State, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state >= Stopped || (l.state == Stopping && s < Stopping) {
		return
	}
	l.err = err
	if s == l.state {
		return
	}
	l.state = s
	for w := range l.watches {
		w.next = append(w.next, s)
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

func (l *life) finish(err error) {
	if err != nil {
		l.set(Failed, err)
	} else {
		l.set(Stopped, nil)
	}
}

// states yields the state and all that follow: who watches slowly misses none.
func (l *life) states(ctx context.Context) iter.Seq[State] {
	return func(yield func(State) bool) {
		w := &watch{wake: make(chan struct{}, 1)}
		l.mu.Lock()
		w.next = []State{l.state}
		if l.watches == nil {
			l.watches = map[*watch]struct{}{}
		}
		l.watches[w] = struct{}{}
		l.mu.Unlock()
		defer func() {
			l.mu.Lock()
			delete(l.watches, w)
			l.mu.Unlock()
		}()
		for {
			l.mu.Lock()
			unseen := w.next
			w.next = nil
			l.mu.Unlock()
			for _, s := range unseen {
				if !yield(s) || s >= Stopped {
					return
				}
			}
			select {
			case <-w.wake:
			case <-ctx.Done():
				return
			}
		}
	}
}

// stopping tells whether Run is about to return.
func (p *Processor) stopping() bool {
	state, _ := p.life.now()
	return state >= Stopping
}

// update works the state out anew: from the sessions, and what they restore.
func (p *Processor) update() {
	p.mu.Lock()
	members := p.members
	p.mu.Unlock()
	worse := [...]int{Starting: 3, Restoring: 2, Rebalancing: 1, Running: 0}
	state := Running
	for _, m := range members {
		s := m.status()
		if s == Running {
			p.waits.Clear(m.nextSession(), "")
		}
		if worse[s] > worse[state] {
			state = s
		}
	}
	if !p.globalsReady() {
		state = Restoring
	}
	current, _ := p.life.now()
	if current != Starting && state == Starting {
		state = Rebalancing // it has been further
	}
	p.life.set(state, nil)
}

// status is Starting, Restoring, Running or Rebalancing.
func (m *member) status() State {
	s := m.session.Load()
	switch {
	case s == nil || m.balance.generation.Load() < 0:
		return Starting
	case m.balance.joining.Load():
		return Rebalancing
	}
	ready := 0
	tasks := m.tasks()
	for _, t := range tasks {
		if t.ready() {
			ready++
		}
	}
	if ready < len(tasks) || ready < int(s.share.Load()) {
		return Restoring
	}
	return Running
}
