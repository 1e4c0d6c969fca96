//go:build unix

package main

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A server is one that a script can start, stop and kill. Without a script it
// stays as it is.
type server struct {
	script string
	fault  sync.Mutex // held while one goes on

	mu   sync.Mutex
	gone bool
	back time.Time // when it came back last
}

func (s *server) do(what ...string) error {
	if out, err := exec.Command(s.script, what...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", s.script, strings.Join(what, " "), err, out)
	}
	return nil
}

// one ends or freezes a broker of three for so long.
func (s *server) one(how string, broker int, d time.Duration) error {
	s.fault.Lock()
	defer s.fault.Unlock()
	s.set(true)
	defer s.set(false)
	n, back := strconv.Itoa(broker), []string{"start"}
	if how == "freeze" {
		back = []string{"thaw", n}
	}
	if err := s.do(how, n); err != nil {
		return err
	}
	time.Sleep(d)
	return s.do(back...)
}

// away ends the server, by stop or kill, for so long. A server that does not
// come back is tried again: the run would have no meaning without it.
func (s *server) away(how string, d time.Duration) error {
	s.fault.Lock()
	defer s.fault.Unlock()
	s.set(true)
	defer s.set(false)
	failed := s.do(how)
	time.Sleep(d)
	for range 3 {
		if failed = s.do("start"); failed == nil {
			return nil
		}
	}
	return failed
}

func (s *server) set(gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone, s.back = gone, time.Now()
}

// missed tells whether the server was away at some time since then, or had just
// come back.
func (s *server) missed(since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone || s.back.After(since.Add(-5*time.Second))
}
