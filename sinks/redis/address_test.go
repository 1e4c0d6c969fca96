package redis_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

func TestRedisString(t *testing.T) {
	for _, c := range []struct {
		sink *redis.Sink
		want string
	}{
		{&redis.Sink{Addr: "localhost:6379"}, "redis localhost:6379"},
		{&redis.Sink{Addr: "localhost:6379", Category: "hello"}, "redis localhost:6379 hello"},
		{&redis.Sink{Addr: "redis://user:hidden@example.com"}, "redis example.com:6379"},
		{&redis.Sink{Addr: "rediss://:hidden@example.com:6380/3", Category: "hello"}, "redis example.com:6380/3 hello"},
		{&redis.Sink{Addr: "[::1]:6379"}, "redis [::1]:6379"},
		{&redis.Sink{Addr: "unix:///run/goredis.sock"}, "redis /run/goredis.sock"},
		{&redis.Sink{Addr: "redis://localhost", Options: &goredis.UniversalOptions{DB: 4}}, "redis localhost:6379/4"},
		{&redis.Sink{Addr: "redis://user:hidden/@example.com"}, "redis (no valid address)"},
		{&redis.Sink{}, "redis (no valid address)"},
	} {
		if got := c.sink.String(); got != c.want {
			t.Errorf("String of address %q: %q, want %q", c.sink.Addr, got, c.want)
		}
	}
}

func TestRedisRefusesAddresses(t *testing.T) {
	for _, c := range []struct {
		sink *redis.Sink
		want string // in the error
	}{
		{&redis.Sink{}, "localhost:6379"},
		{&redis.Sink{Addr: "localhost"}, `did you mean "localhost:6379"?`},
		{&redis.Sink{Addr: "::1"}, `did you mean "[::1]:6379"?`},
		{&redis.Sink{Addr: "localhost:redis"}, `port "redis"`},
		{&redis.Sink{Addr: "localhost:99999"}, `port "99999"`},
		{&redis.Sink{Addr: "a:6379,b:6379"}, "one server"},
		{&redis.Sink{Addr: "http://localhost:6379"}, "invalid URL scheme: http"},
		{&redis.Sink{Addr: "redis://localhost/hello"}, `invalid database number: "hello"`},
		{&redis.Sink{Addr: "redis://localhost?hello=1"}, "unexpected option: hello"},
		{&redis.Sink{Addr: "user:hidden@localhost:6379"}, "redis://user:password@host:6379"},
		{&redis.Sink{Addr: "redis://user:hidden/@localhost:6379"}, "percent-encoded?"},
		{&redis.Sink{Addr: "redis://user/hidden@localhost:6379"}, "percent-encoded?"},
		{&redis.Sink{Addr: "redis://localhost?db=2", Options: &goredis.UniversalOptions{}}, "query"},
		{&redis.Sink{Addr: "localhost:6379", Options: &goredis.UniversalOptions{IsClusterMode: true}}, "Cluster"},
		{&redis.Sink{Addr: "localhost:6379", Options: &goredis.UniversalOptions{MasterName: "m"}}, "Sentinel"},
		{&redis.Sink{Addr: "localhost:6379", Category: "tidemark"}, `"tidemark"`},
	} {
		_, err := c.sink.Open(t.Context(), topology.Source{Table: "hello"}, 0)
		var refused *topology.RefusedError
		switch {
		case !errors.As(err, &refused):
			t.Errorf("address %q: %v, want a RefusedError", c.sink.Addr, err)
		case !strings.Contains(err.Error(), c.want):
			t.Errorf("address %q: error %q does not say %q", c.sink.Addr, err, c.want)
		case strings.Contains(err.Error(), "hidden"):
			t.Errorf("address %q: error %q shows the password", c.sink.Addr, err)
		}
		if again := c.sink.Apply(t.Context(), topology.Batch{Source: topology.Source{Table: "hello"}}); !errors.As(again, &refused) {
			t.Errorf("address %q: apply: %v, want a RefusedError", c.sink.Addr, again)
		}
	}
}

func TestRedisRefusesASecondTable(t *testing.T) {
	sink := newRedis(t, miniredis.RunT(t).Addr())
	opened(t, sink, "hello")
	opened(t, sink, "world")
	sink.Category = "greetings"
	opened(t, sink, "world")
	_, err := sink.Open(t.Context(), topology.Source{Table: "hello"}, 0)
	if refused := (*topology.RefusedError)(nil); !errors.As(err, &refused) {
		t.Errorf("a second table in one category: %v, want a RefusedError", err)
	}
}

func TestRedisOptions(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireUserAuth("user", "secret")
	dialed := 0
	options := &goredis.UniversalOptions{
		Username:   "somebody",
		Password:   "else",
		DB:         3,
		MaxRetries: 5,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialed++
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
	sink := newRedis(t, "redis://user:secret@"+server.Addr())
	sink.Options = options
	if err := sink.Apply(t.Context(), then(opened(t, sink, "hello"), "1", row("a", "1"))); err != nil {
		t.Fatal(err)
	}
	if got, _ := server.DB(3).Get("hello:a"); got != "1" {
		t.Errorf("row in database 3 is %q", got)
	}
	if dialed != 1 || options.MaxRetries != 5 || len(options.Addrs) != 0 {
		t.Errorf("dialed %d times, options changed to %+v", dialed, options)
	}
}

func TestRedisSpeaksTLS(t *testing.T) {
	certificate, pool := selfSigned(t)
	server := miniredis.NewMiniRedis()
	if err := server.StartTLS(&tls.Config{Certificates: []tls.Certificate{certificate}}); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	trusting := newRedis(t, "rediss://"+server.Addr())
	trusting.Options = &goredis.UniversalOptions{TLSConfig: &tls.Config{RootCAs: pool}}
	opened(t, trusting, "hello")

	_, err := newRedis(t, "rediss://"+server.Addr()).Open(t.Context(), topology.Source{Table: "hello"}, 0)
	if refused := (*topology.RefusedError)(nil); !errors.As(err, &refused) || !strings.Contains(err.Error(), "TLSConfig") {
		t.Errorf("a certificate that is not trusted: %v", err)
	}
}
