package topology

import (
	"errors"
	"fmt"
)

// A declaredStep is what the first set-up of a step of one's own has asked for.
type declaredStep struct {
	at     *node
	topics map[string]bool
}

func (d *declaredStep) publishes(topic string) { d.topics[topic] = true }

// kept returns a store that the step has opened, or nil.
func (d *declaredStep) kept(store string) *kept {
	for _, s := range d.at.stores {
		if s.name == store {
			return s
		}
	}
	return nil
}

// A scope is a Context without its types: what it and the stores and publishers
// that were made of it have in common.
type scope struct {
	declared *declaredStep
	b        *Builder // while the step is declared
	k        *Task    // in a task
	setup    bool     // setup runs
	running  bool     // another function of the step runs

	// Of the function that runs.
	time    int64
	headers []Header
	err     error // what it could not be told
}

// opening reports whether setup runs, and notes a mistake if it does not.
func (s *scope) opening(what string) bool {
	if !s.setup {
		s.mistake(fmt.Errorf("%s is called outside of setup", what))
	}
	return s.setup
}

// mistake notes a wrong use.
func (s *scope) mistake(err error) {
	switch {
	case s.b != nil && s.setup:
		s.b.wrong("%s: setup: %w", s.declared.at.name, err)
	case s.k != nil && s.setup:
		s.err = errors.Join(s.err, err)
	case s.err == nil:
		s.err = fmt.Errorf("%s: %w", s.declared.at.name, err)
	}
}

// do runs what a function of the step has asked for. After an error nothing more
// is done for it.
func (s *scope) do(what string, run func() error) {
	if !s.running {
		when := "while no function of its step runs"
		if s.setup {
			when = "in setup, which can only open and declare"
		}
		s.mistake(fmt.Errorf("%s is called %s", what, when))
		return
	}
	if s.err != nil {
		return
	}
	at, policy := s.k.at, s.k.policy
	s.err = run()
	s.k.at, s.k.policy = at, policy
}

// run runs a function of the step, for a record or a timer of this time.
func (s *scope) run(time int64, headers []Header, fn func() error) (err error) {
	if s.err != nil { // since it ran last
		err, s.err = s.err, nil
		return err
	}
	s.running, s.time, s.headers = true, time, headers
	defer func() { s.running, s.err = false, nil }()
	err = fn()
	if s.err != nil {
		return s.err
	}
	return err
}
