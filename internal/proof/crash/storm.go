//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemark-dev/tidemark/internal/proof/damage"
	"github.com/tidemark-dev/tidemark/internal/proof/referee"
)

// A storm makes the faults of a schedule.
type storm struct {
	fleet   *fleet
	proxy   *proxy
	client  *redis.Client
	kafka   *server
	redis   *server
	run     string
	brokers []string
	stalls  sync.Mutex

	mu     sync.Mutex
	made   map[string]int
	failed error
}

// rage makes every fault when it is due and returns when the last is over.
func (s *storm) rage(ctx context.Context, faults []fault) error {
	began := time.Now()
	var open sync.WaitGroup
	for _, f := range faults {
		sleep(ctx, f.at-time.Since(began))
		if ctx.Err() != nil {
			break
		}
		open.Go(func() {
			if err := s.make(ctx, f); err != nil {
				s.mu.Lock()
				s.failed = fmt.Errorf("%s: %w", f.name, err)
				s.mu.Unlock()
				say("%v", s.failed)
			}
		})
	}
	open.Wait()
	return s.failed
}

func (s *storm) make(ctx context.Context, f fault) error {
	w := s.fleet.workers[f.victim]
	defer func() {
		s.mu.Lock()
		s.made[f.name]++
		s.mu.Unlock()
	}()
	switch f.name {
	case "kill", "wipe", "damage", "term", "freeze":
		w.fault.Lock()
		defer w.fault.Unlock()
		err := w.suffer(ctx, f)
		sleep(ctx, f.life)
		return err
	case "stall":
		s.stalls.Lock()
		defer s.stalls.Unlock()
		s.proxy.stall(f.down, f.cut)
		return nil
	case "flush":
		s.redis.fault.Lock() // Redis is there
		defer s.redis.fault.Unlock()
		return s.client.FlushAll(ctx).Err()
	case "redis-kill":
		return s.redis.away("kill", 0)
	case "redis-away":
		return s.redis.away("stop", f.down)
	case "kill-all":
		return s.fleet.killAll(ctx, f)
	case "one-kill", "one-freeze":
		return s.kafka.one(strings.TrimPrefix(f.name, "one-"), 1+int(f.seed%3), f.down)
	case "move":
		s.kafka.fault.Lock() // all brokers are there
		defer s.kafka.fault.Unlock()
		return s.move()
	case "broker-kill":
		return s.kafka.away("kill", 0)
	case "broker-away":
		return s.kafka.away("stop", f.down)
	}
	return fmt.Errorf("nobody knows how to make it")
}

// move gives every partition of the run another leader.
func (s *storm) move() error {
	c, err := referee.Open(s.brokers)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Move(s.run)
}

// killAll kills all workers at once, and starts them together.
func (f *fleet) killAll(ctx context.Context, of fault) error {
	for _, w := range f.workers {
		w.fault.Lock()
		defer w.fault.Unlock()
	}
	for _, w := range f.workers {
		w.kill()
	}
	sleep(ctx, of.down)
	var wrong []error
	for _, w := range f.workers {
		wrong = append(wrong, w.start())
	}
	return errors.Join(wrong...)
}

func (w *worker) suffer(ctx context.Context, f fault) error {
	switch f.name {
	case "freeze":
		w.signal(syscall.SIGSTOP, false)
		sleep(ctx, f.down)
		w.signal(syscall.SIGCONT, false)
		return nil
	case "term":
		w.stop()
	default:
		w.kill()
	}
	switch f.name {
	case "wipe":
		if err := os.RemoveAll(w.job.State); err != nil {
			return err
		}
	case "damage":
		harm, err := damage.Random(w.job.State, rand.New(rand.NewPCG(f.seed, 1)))
		if errors.Is(err, fs.ErrNotExist) {
			break // it has been wiped, or has not begun
		}
		if err == nil {
			err = harm.Do(w.job.State)
		}
		if err != nil {
			return err
		}
		say("damage: %s: %v", filepath.Base(w.job.State), harm)
	}
	sleep(ctx, f.down)
	return w.start()
}

// without returns the kinds that can be made with the scripts that there are,
// and the names of the others.
func without(kinds []kind, scripts map[string]string) (left []kind, missing []string) {
	for _, k := range kinds {
		switch {
		case k.needs == "" || scripts[k.needs] != "":
			left = append(left, k)
		case k.needs == "cluster" || k.needs == "kafka" && scripts["cluster"] != "": // not meant
		default:
			missing = append(missing, k.name)
		}
	}
	return left, missing
}
