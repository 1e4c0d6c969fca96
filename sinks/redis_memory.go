package sinks

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// How often the server's settings are looked at: at once when it is connected, and
// sooner again if they are wrong. Variables for tests.
var (
	lookAgain = 10 * time.Second
	lookSoon  = time.Second
)

// look returns an error if the server would evict rows. It asks now and then, and
// one caller for all; a server that does not tell is taken to be set up right.
func (s *server) look(ctx context.Context) error {
	last, now := s.looked.Load(), time.Now()
	every := lookAgain
	if s.evicts.Load() != nil {
		every = lookSoon
	}
	if now.Sub(time.Unix(0, last)) >= every && s.looked.CompareAndSwap(last, now.UnixNano()) {
		if last == 0 {
			s.lookAtLimits(ctx)
		}
		if info, err := s.client.Info(ctx, "memory").Result(); err == nil {
			s.lookAtMemory(info)
		}
	}
	if policy := s.evicts.Load(); policy != nil {
		return evicting(*policy)
	}
	return nil
}

// lookAtLimits asks for the longest name or value, if the user may.
func (s *server) lookAtLimits(ctx context.Context) {
	config, err := s.client.ConfigGet(ctx, "proto-max-bulk-len").Result()
	if err != nil {
		return
	}
	if n, err := strconv.ParseInt(config["proto-max-bulk-len"], 10, 64); err == nil && n > 0 {
		s.bulk.Store(n)
	}
}

func (s *server) lookAtMemory(info string) {
	policy, limited := "", false
	for line := range strings.Lines(info) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name {
		case "maxmemory":
			limited = value != "0"
		case "maxmemory_policy":
			policy = value
		}
	}
	if limited && strings.HasPrefix(policy, "allkeys-") {
		s.evicts.Store(&policy)
	} else {
		s.evicts.Store(nil)
	}
}

// An evicting server drops rows when its memory is full. The string is its policy.
type evicting string

func (e evicting) Error() string { return "its maxmemory-policy is " + string(e) }
