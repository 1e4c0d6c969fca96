//go:build unix

package main

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// A write that was held when its sender was cut off comes after a later one.
func TestProxyDeliversLate(t *testing.T) {
	server := miniredis.RunT(t)
	p, err := newProxy(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	client := redis.NewClient(&redis.Options{Addr: p.addr(), MaxRetries: -1, PoolSize: 1})
	defer client.Close()
	set := func(ctx context.Context, value string) error { return client.Set(ctx, "key", value, 0).Err() }
	if err := set(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		p.stall(time.Second, true)
	}()
	for failed := false; !failed; {
		failed = set(t.Context(), "old") != nil // cut off half way
	}
	if err := set(t.Context(), "new"); err != nil {
		t.Fatalf("a new connection during the stall: %v", err)
	}
	<-over
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if got, err := server.Get("key"); err == nil && got == "old" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("what was held never came")
		}
	}
	if p.late.Load() == 0 {
		t.Error("nothing was counted as late")
	}
}
