//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A fleet is the workers, each a process with a directory and a port of its own.
type fleet struct {
	workers []*worker
	kafka   *server
	mu      sync.Mutex
	exits   []string // of processes that nobody had told to end
}

// A worker is one place of the fleet. Faults that are after the same worker wait
// for each other.
type worker struct {
	fault sync.Mutex // held while one goes on
	fleet *fleet
	job   job
	log   string

	mu     sync.Mutex
	cmd    *exec.Cmd     // nil while there is no process
	told   time.Time     // when it was told to end, zero if it was not
	ended  chan struct{} // of the current process
	closed bool          // no process is started any more
	lives  int
}

func newFleet(o options, run, dir, redis string, kafka *server) (*fleet, error) {
	f := &fleet{kafka: kafka}
	for i := range o.instances {
		listener, err := net.Listen("tcp", "127.0.0.1:0") // finds a free port
		if err != nil {
			return nil, err
		}
		if err := listener.Close(); err != nil {
			return nil, err
		}
		f.workers = append(f.workers, &worker{
			fleet: f, log: filepath.Join(dir, fmt.Sprintf("worker-%d.log", i)),
			job: job{
				Run: run, Workloads: o.names, Brokers: o.brokers, Redis: redis,
				State: filepath.Join(dir, fmt.Sprintf("state-%d", i)), Listen: listener.Addr().String(), AtLeastOnce: o.atLeastOnce,
			},
		})
	}
	return f, nil
}

// start starts a process, unless there is one.
func (w *worker) start() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cmd != nil || w.closed {
		return nil
	}
	text, err := json.Marshal(w.job)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(w.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	cmd := exec.Command(self, "work", string(text))
	cmd.Stdout, cmd.Stderr = log, log
	if _, err := cmd.StdinPipe(); err != nil { // its end tells the process that we are gone
		return err
	}
	w.lives++
	fmt.Fprintf(log, "---- life %d at %s\n", w.lives, time.Now().Format("15:04:05.000"))
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	w.cmd, w.told, w.ended = cmd, time.Time{}, make(chan struct{})
	go w.wait(cmd, w.ended)
	return nil
}

// wait notes how a process ends, and starts another if it ended by itself.
func (w *worker) wait(cmd *exec.Cmd, ended chan struct{}) {
	err := cmd.Wait()
	w.mu.Lock()
	w.cmd = nil
	told := w.told
	w.mu.Unlock()
	close(ended)
	if told.IsZero() {
		w.fleet.note("%s: by itself: %v: %s", filepath.Base(w.log), err, w.lastWords())
		time.Sleep(time.Second)
		if err := w.start(); err != nil {
			w.fleet.note("%s: %v", filepath.Base(w.log), err)
		}
		return
	}
	// A signal ends a process as it was meant to. After SIGTERM it must end with
	// 0, unless Kafka was not there to take its last commit.
	if err != nil && cmd.ProcessState.Exited() && !w.fleet.kafka.missed(told) {
		w.fleet.note("%s: after SIGTERM: %v: %s", filepath.Base(w.log), err, w.lastWords())
	}
}

// lastWords returns why a process says that it ended.
func (w *worker) lastWords() string {
	text, err := os.ReadFile(w.log)
	if err != nil {
		return err.Error()
	}
	said := ""
	for line := range strings.Lines(string(text[max(0, len(text)-100_000):])) {
		for _, begin := range []string{"----", "panic:", "fatal error:", "crash:"} {
			if strings.HasPrefix(line, begin) {
				said = strings.TrimSpace(line)
			}
		}
	}
	return said
}

func (f *fleet) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.exits = append(f.exits, fmt.Sprintf(format, args...))
	say("exit: "+format, args...)
}

// signal sends a signal to the process, if there is one. With end the process
// is expected to end; what it returns is closed then.
func (w *worker) signal(s syscall.Signal, end bool) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cmd == nil {
		none := make(chan struct{})
		close(none)
		return none
	}
	if end && w.told.IsZero() {
		w.told = time.Now()
	}
	_ = w.cmd.Process.Signal(s) // it may end by itself just now
	return w.ended
}

// kill ends the process as a crash does.
func (w *worker) kill() { <-w.signal(syscall.SIGKILL, true) }

// stop asks the process to end; one that has not after a minute is hung.
func (w *worker) stop() {
	select {
	case <-w.signal(syscall.SIGTERM, true):
	case <-time.After(time.Minute):
		w.fleet.note("%s: hung: a minute after SIGTERM it was still there", filepath.Base(w.log))
		w.signal(syscall.SIGQUIT, true) // its goroutines go to the log
		time.Sleep(2 * time.Second)
		w.kill()
	}
}

// close ends every process for good, by kill at once or by SIGTERM.
func (f *fleet) close(kill bool) {
	var ends sync.WaitGroup
	for _, w := range f.workers {
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		ends.Go(func() {
			w.signal(syscall.SIGCONT, false)
			if kill {
				w.kill()
			} else {
				w.stop()
			}
		})
	}
	ends.Wait()
}
