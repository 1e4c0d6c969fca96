package redis_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/sinks/sinktest"
	"github.com/tidemark-dev/tidemark/topology"
)

// realRedis returns the URL of a database that tests may flush: that of
// TIDEMARK_REDIS, or if it is host:port, database 9 there.
func realRedis(t testing.TB) string {
	t.Helper()
	switch addr := os.Getenv("TIDEMARK_REDIS"); {
	case addr == "":
		t.Skip("TIDEMARK_REDIS is not set: a real server's host:port, of which database 9 is flushed, or a URL")
		return ""
	case strings.Contains(addr, "://"):
		return addr
	default:
		return "redis://" + addr + "/9"
	}
}

// reader returns a plain client, closed after the test.
func reader(t testing.TB, url string) *goredis.Client {
	t.Helper()
	options, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(options)
	t.Cleanup(func() { client.Close() })
	return client
}

func newRedis(t testing.TB, addr string) *redis.Sink {
	sink := &redis.Sink{Addr: addr}
	t.Cleanup(func() { sink.Close() })
	return sink
}

// opened opens partition 0 of a table.
func opened(t testing.TB, sink topology.Sink, table string) topology.Batch {
	t.Helper()
	from := topology.Source{Table: table}
	place, err := sink.Open(t.Context(), from, 0)
	if err != nil {
		t.Fatal(err)
	}
	return topology.Batch{Source: from, Epoch: place.Epoch, From: place.Position, To: place.Position}
}

// then returns the step after a batch.
func then(before topology.Batch, to string, rows ...topology.Raw) topology.Batch {
	before.From, before.To, before.Rows = before.To, to, rows
	return before
}

func row(key, value string) topology.Raw {
	return topology.Raw{Key: []byte(key), Value: []byte(value)}
}

func TestRedis(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) {
		testRedis(t, "redis://"+limited(t).Addr())
	})
	t.Run("real", func(t *testing.T) {
		client := reader(t, realRedis(t))
		if err := client.ConfigSet(t.Context(), "proto-max-bulk-len", strconv.Itoa(limit)).Err(); err != nil {
			t.Fatal(err)
		}
		defer client.ConfigSet(context.Background(), "proto-max-bulk-len", strconv.Itoa(512<<20))
		testRedis(t, realRedis(t))
	})
}

// limit is how many bytes a value may have in the tests: the least that a server takes.
const limit = 1 << 20

// limited returns a server that has the limit.
func limited(t *testing.T) *miniredis.Miniredis {
	m := miniredis.RunT(t)
	err := m.Server().Register("CONFIG", func(c *server.Peer, _ string, args []string) {
		c.WriteStrings([]string{args[1], strconv.Itoa(limit)})
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func testRedis(t *testing.T, url string) {
	client := reader(t, url)
	sinktest.Run(t, sinktest.Target{
		Limit: limit,
		Keyed: func(_ *testing.T, key func([]byte) (string, error)) topology.Sink {
			return &redis.Sink{Addr: url, Key: key}
		},
		New: func(*testing.T) topology.Sink { return &redis.Sink{Addr: url} },
		Get: func(t *testing.T, table string, key []byte) []byte {
			value, err := client.Get(t.Context(), table+":"+string(key)).Bytes()
			if err != nil && !errors.Is(err, goredis.Nil) {
				t.Error(err)
			}
			return value
		},
		Lose: func(t *testing.T) {
			if err := client.FlushDB(t.Context()).Err(); err != nil {
				t.Error(err)
			}
		},
	})
}

func TestRedisKeysDoNotCollide(t *testing.T) {
	server := miniredis.RunT(t)
	want := map[string]string{}
	for category, key := range map[string]string{
		"a":              "b:c",
		"a:b":            "c",
		`a\`:             "b:c",
		`a\:b`:           "c",
		"a*":             "c",
		"tidemark:fence": "hello:0",
		"a?[^b":          "]c",
		"hello":          "tidemark:fence:hello:0",
	} {
		sink := &redis.Sink{Addr: server.Addr(), Category: category}
		defer sink.Close()
		batch := then(opened(t, sink, "hello"), "1", row(key, category))
		if err := sink.Apply(t.Context(), batch); err != nil {
			t.Fatalf("category %q: %v", category, err)
		}
		want[category] = key
	}
	for category, key := range want {
		sink := &redis.Sink{Addr: server.Addr(), Category: category}
		defer sink.Close()
		var keys []string
		for held, err := range sink.Keys(t.Context(), topology.Source{Table: "hello"}) {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, string(held.Key))
		}
		if diff := cmp.Diff([]string{key}, keys); diff != "" {
			t.Errorf("keys of category %q (-want +got):\n%s", category, diff)
		}
	}
	for key, value := range map[string]string{`a:b:c`: "a", `a\:b:c`: "a:b", `a\\:b:c`: `a\`, `a\\\:b:c`: `a\:b`} {
		if got, err := server.Get(key); got != value {
			t.Errorf("key %q is %q (%v), want %q", key, got, err, value)
		}
	}
}

func TestRedisFencesOfTwoCategories(t *testing.T) {
	server := miniredis.RunT(t)
	all, some := newRedis(t, server.Addr()), newRedis(t, server.Addr())
	some.Category = "some:where"
	first, second := opened(t, all, "hello"), opened(t, some, "hello")
	for _, to := range []string{"1", "2"} {
		first, second = then(first, to, row("a", to)), then(second, to, row("a", to))
		if err := errors.Join(all.Apply(t.Context(), first), some.Apply(t.Context(), second)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"hello:a", `some\:where:a`, "tidemark:fence:hello:0", `tidemark:fence:hello:some\:where:0`, "tidemark:owner:hello", `tidemark:owner:some\:where`}
	if diff := cmp.Diff(want, server.Keys()); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestRedisForgetsScripts(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) { testForgets(t, "redis://"+miniredis.RunT(t).Addr()) })
	t.Run("real", func(t *testing.T) { testForgets(t, realRedis(t)) })
}

func testForgets(t *testing.T, url string) {
	client, sink := reader(t, url), newRedis(t, url)
	batch := opened(t, sink, "forgets")
	for i := range 5 {
		client.ScriptFlush(t.Context())
		batch = then(batch, batch.To+"+", row("a", fmt.Sprint(i)), row("b", fmt.Sprint(i)))
		if err := sink.Apply(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		client.ScriptFlush(t.Context())
		if _, err := sink.Open(t.Context(), batch.Source, batch.Epoch); err != nil {
			t.Fatal(err)
		}
	}
	client.ScriptFlush(t.Context())
	opened(t, sink, "forgets")
}

func TestRedisStartsAgainEmpty(t *testing.T) {
	server := miniredis.RunT(t)
	addr := server.Addr()
	sink := newRedis(t, addr)
	batch := then(opened(t, sink, "hello"), "1", row("a", "1"))
	if err := sink.Apply(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	server.Close()
	next := then(batch, "2", row("a", "2"))
	var refused *topology.RefusedError
	if err := sink.Apply(t.Context(), next); err == nil || errors.As(err, &refused) {
		t.Fatalf("apply to a server that is down: %v, want a passing error", err)
	}
	server = miniredis.NewMiniRedis()
	if err := server.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := sink.Apply(t.Context(), next); !errors.Is(err, topology.ErrGap) {
		t.Fatalf("apply to a server that is empty: %v, want %v", err, topology.ErrGap)
	}
	place, err := sink.Open(t.Context(), batch.Source, batch.Epoch)
	if err != nil || place != (topology.Place{Epoch: batch.Epoch}) {
		t.Fatalf("open again: %v, %v", place, err)
	}
}

func TestRedisIsUsableAfterClose(t *testing.T) {
	sink := newRedis(t, miniredis.RunT(t).Addr())
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	batch := opened(t, sink, "hello")
	if err := errors.Join(sink.Close(), sink.Close()); err != nil {
		t.Fatal(err)
	}
	if err := sink.Apply(t.Context(), then(batch, "1", row("a", "1"))); err != nil {
		t.Fatal(err)
	}
}

func TestRedisEndsWithItsContext(t *testing.T) {
	sink := newRedis(t, miniredis.RunT(t).Addr())
	batch := then(opened(t, sink, "hello"), "1", row("a", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sink.Apply(ctx, batch); !errors.Is(err, context.Canceled) {
		t.Errorf("apply: %v, want %v", err, context.Canceled)
	}
	if _, err := sink.Open(ctx, batch.Source, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("open: %v, want %v", err, context.Canceled)
	}
	for _, err := range sink.Keys(ctx, topology.Source{Table: "hello"}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("keys: %v, want %v", err, context.Canceled)
		}
	}
}
