package redis

import (
	"bufio"
	"context"
	"fmt"
	"io"
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

// refusesBulk reports whether a server has hung up because a part of a command is
// larger than its proto-max-bulk-len, which not every user may ask for. It is told
// that such a part comes: one that does not take it says so before there is any.
func (s *server) refusesBulk(ctx context.Context, size int, err error) bool {
	const certain = 1 << 20 // the least that proto-max-bulk-len can be
	if strings.Contains(err.Error(), "invalid bulk length") {
		return true
	}
	if !hungUp(err) || size <= certain {
		return false
	}
	conn, err := s.dial(ctx)
	if err != nil {
		return false
	}
	defer conn.Close()
	login := []string{"AUTH", s.username, s.password}
	if s.username == "" {
		login = []string{"AUTH", s.password}
	}
	if s.password == "" {
		login = []string{"PING"}
	}
	ask := fmt.Sprintf("*%d\r\n", len(login))
	for _, arg := range login {
		ask += fmt.Sprintf("$%d\r\n%s\r\n", len(arg), arg)
	}
	ask += fmt.Sprintf("*2\r\n$4\r\nECHO\r\n$%d\r\n", size)
	if conn.SetDeadline(time.Now().Add(time.Second)) != nil {
		return false
	}
	if _, err := io.WriteString(conn, ask); err != nil {
		return false
	}
	answers := bufio.NewReader(io.LimitReader(conn, 1<<10))
	_, _ = answers.ReadString('\n') // of the login
	said, _ := answers.ReadString('\n')
	return strings.Contains(said, "invalid bulk length")
}
