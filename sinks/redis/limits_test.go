package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// tells is a server that answers INFO memory with what the pointer holds.
func tells(t *testing.T) (*miniredis.Miniredis, *atomic.Value) {
	m, info := miniredis.RunT(t), &atomic.Value{}
	info.Store("")
	m.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		if cmd != "INFO" {
			return false
		}
		c.WriteBulk(info.Load().(string))
		return true
	})
	return m, info
}

func memoryInfo(maxmemory, policy string) string {
	return "# Memory\r\nused_memory:1\r\nmaxmemory:" + maxmemory + "\r\nmaxmemory_human:x\r\nmaxmemory_policy:" + policy + "\r\n"
}

// A server that would evict rows is refused at the start, and waited for later.
func TestRedisEvicts(t *testing.T) {
	redis.LookOften(t)
	for _, c := range []struct {
		maxmemory, policy string
		evicts            bool
	}{
		{"0", "noeviction", false},
		{"0", "allkeys-lru", false}, // there is no limit
		{"100000", "noeviction", false},
		{"100000", "volatile-lru", false}, // rows have no TTL
		{"100000", "volatile-ttl", false},
		{"100000", "allkeys-lru", true},
		{"100000", "allkeys-lfu", true},
		{"100000", "allkeys-random", true},
		{"100000", "allkeys-lrm", true},
	} {
		m, info := tells(t)
		info.Store(memoryInfo(c.maxmemory, c.policy))
		_, err := newRedis(t, m.Addr()).Open(t.Context(), topology.Source{Table: "hello"}, 0)
		var refused *topology.RefusedError
		if c.evicts != errors.As(err, &refused) || c.evicts && (!strings.Contains(err.Error(), "its maxmemory-policy is "+c.policy) ||
			!strings.Contains(err.Error(), "redis-cli config set maxmemory-policy noeviction")) {
			t.Errorf("maxmemory %s, %s: %v", c.maxmemory, c.policy, err)
		}
	}

	m, info := tells(t)
	info.Store(memoryInfo("100000", "noeviction"))
	sink := newRedis(t, m.Addr())
	batch := then(opened(t, sink, "hello"), "1", row("a", "1"))
	if err := sink.Apply(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	info.Store(memoryInfo("100000", "allkeys-random"))
	if err := sink.Apply(t.Context(), then(batch, "1")); err != nil { // in which it is seen
		t.Fatal(err)
	}
	next := then(batch, "2", row("a", "2"))
	if err := sink.Apply(t.Context(), next); err == nil || !strings.Contains(err.Error(), "allkeys-random: it would drop rows") {
		t.Errorf("a policy that was changed later: %v", err)
	}
	info.Store(memoryInfo("100000", "noeviction"))
	if err := sink.Apply(t.Context(), next); err != nil {
		t.Errorf("a policy that was changed back: %v", err)
	}
}

func TestRealRedisEvicts(t *testing.T) {
	redis.LookOften(t)
	url := realRedis(t)
	client, sink := reader(t, url), newRedis(t, url)
	set := func(name, value string) {
		t.Helper()
		if err := client.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	defer set("maxmemory", "0")
	defer set("maxmemory-policy", "noeviction")
	set("maxmemory", "1gb")
	opened(t, sink, "evicts")
	set("maxmemory-policy", "allkeys-random")
	_, err := sink.Open(t.Context(), topology.Source{Table: "evicts"}, 0)
	if refused := (*topology.RefusedError)(nil); !errors.As(err, &refused) {
		t.Errorf("allkeys-random: %v", err)
	}
	set("maxmemory-policy", "volatile-lru")
	opened(t, sink, "evicts")
}

// A user who may not ask for the limits of the server finds them out.
func TestRealRedisDoesNotTellItsLimits(t *testing.T) {
	url := realRedis(t)
	client := reader(t, url)
	options := client.Options()
	ctx := context.WithoutCancel(t.Context())
	err := errors.Join(
		client.ACLSetUser(ctx, "sinks-test-asks-nothing", "reset", "on", ">hidden", "~*", "+@all", "-config", "-info").Err(),
		client.ConfigSet(ctx, "proto-max-bulk-len", strconv.Itoa(limit)).Err(),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer client.ACLDelUser(ctx, "sinks-test-asks-nothing")
	defer client.ConfigSet(ctx, "proto-max-bulk-len", strconv.Itoa(512<<20))
	sink := newRedis(t, fmt.Sprintf("redis://sinks-test-asks-nothing:hidden@%s/%d", options.Addr, options.DB))
	batch := opened(t, sink, "tells-nothing")
	large := strings.Repeat("x", 3*limit)
	for _, rows := range [][]topology.Raw{{row("large", large)}, {row("a", "1"), row("large", large)}} {
		var refused *topology.RowError
		if err := sink.Apply(t.Context(), then(batch, "1", rows...)); !errors.As(err, &refused) || string(refused.Key) != "large" {
			t.Errorf("%d rows: %v", len(rows), err)
		}
	}
	if err := sink.Apply(t.Context(), then(batch, "1", row("full", large[:limit]))); err != nil {
		t.Error(err)
	}
}
