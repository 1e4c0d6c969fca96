//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// A child is a measured process: this program again, with a job.
type child struct {
	cmd   *exec.Cmd
	began time.Time

	mu    sync.Mutex
	now   progress
	done  chan struct{} // closed when the process has ended
	ended error
}

func start(j job) (*child, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self, "work", string(text)), done: make(chan struct{})}
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.began = time.Now()
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", self, err)
	}
	go func() {
		defer close(c.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var p progress
			if json.Unmarshal(lines.Bytes(), &p) == nil {
				c.mu.Lock()
				c.now = p
				c.mu.Unlock()
			}
		}
		c.ended = c.cmd.Wait()
	}()
	return c, nil
}

func (c *child) progress() progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// until waits until the progress is as wanted.
func (c *child) until(ctx context.Context, wanted func(progress) bool) error {
	for !wanted(c.progress()) {
		select {
		case <-c.done:
			return fmt.Errorf("the process ended by itself: %w", c.ended)
		case <-ctx.Done():
			return fmt.Errorf("%w: the process is at %+v", context.Cause(ctx), c.progress())
		case <-time.After(2 * time.Millisecond):
		}
	}
	return nil
}

// kill ends the process as a crash would.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.done
}

// stop asks the process to end, waits for it and returns what it has cost.
func (c *child) stop() (usage, error) {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended: Wait tells
	select {
	case <-c.done:
	case <-time.After(time.Minute):
		c.kill()
		return usage{}, errors.New("the process did not stop within a minute of SIGTERM")
	}
	if c.ended != nil {
		return usage{}, fmt.Errorf("the process: %w", c.ended)
	}
	s := c.cmd.ProcessState
	u := usage{cpu: s.UserTime() + s.SystemTime(), peakMiB: c.progress().PeakMiB}
	if r, ok := s.SysUsage().(*syscall.Rusage); ok && u.peakMiB == 0 {
		u.peakMiB = float64(r.Maxrss) / 1024 / 1024 // in bytes where there is no /proc
	}
	return u, nil
}

// A usage is what a process has cost, its start included.
type usage struct {
	cpu     time.Duration
	peakMiB float64
}
