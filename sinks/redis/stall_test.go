package redis_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// A stall is a way to a server on which a request can be held and delivered
// later, also if its sender has given up: what a network does.
type stall struct {
	listener net.Listener
	server   string

	mu   sync.Mutex
	hold func(request []byte) bool // nil if nothing is to be held
	held chan *request
}

// A request is what was held. Closing pass lets it go, done is closed when the
// server has answered it.
type request struct{ pass, done chan struct{} }

func newStall(t *testing.T, server string) *stall {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stall{listener: listener, server: server, held: make(chan *request, 1)}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(client)
		}
	}()
	return s
}

// next holds the next request that a function picks.
func (s *stall) next(pick func([]byte) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = pick
}

func (s *stall) picks(chunk []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold == nil || !s.hold(chunk) {
		return false
	}
	s.hold = nil
	return true
}

// serve passes on what comes. After a request that was held, the next that the
// server says is its answer, as a client waits for one before the next request.
func (s *stall) serve(client net.Conn) {
	server, err := net.Dial("tcp", s.server)
	if err != nil {
		client.Close()
		return
	}
	delivered := make(chan *request, 1)
	go func() {
		defer client.Close()
		out := make([]byte, 64<<10)
		for {
			n, err := server.Read(out)
			select {
			case held := <-delivered:
				close(held.done)
			default:
			}
			if err != nil {
				return
			}
			client.Write(out[:n]) // it may be gone
		}
	}()
	defer server.Close()
	in := make([]byte, 64<<10)
	for {
		n, err := client.Read(in)
		if err != nil {
			return
		}
		if s.picks(in[:n]) {
			held := &request{make(chan struct{}), make(chan struct{})}
			s.held <- held
			<-held.pass
			delivered <- held
			server.Write(in[:n])
			<-held.done
			continue
		}
		if _, err := server.Write(in[:n]); err != nil {
			return
		}
	}
}

// deliver lets a held request go, and waits for its answer.
func (r *request) deliver() {
	close(r.pass)
	<-r.done
}

func TestRedisStalls(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) { testStalls(t, miniredis.RunT(t).Addr()) })
	t.Run("real", func(t *testing.T) { testStalls(t, reader(t, realRedis(t)).Options().Addr) })
}

func testStalls(t *testing.T, server string) {
	const db = "/9"
	client := reader(t, "redis://"+server+db)
	value := func(key string) string { return client.Get(t.Context(), key).Val() }
	patient := newRedis(t, "redis://"+server+db)
	if err := client.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	stalled := func(t *testing.T) (*stall, *redis.Sink) {
		way := newStall(t, server)
		return way, newRedis(t, "redis://"+way.listener.Addr().String()+db)
	}
	// lose makes a call whose request is held until its sender has given up.
	lose := func(t *testing.T, way *stall, part string, call func(context.Context) error) *request {
		t.Helper()
		way.next(func(request []byte) bool { return bytes.Contains(request, []byte(part)) })
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		answer := make(chan error, 1)
		go func() { answer <- call(ctx) }()
		select {
		case held := <-way.held:
			if err := <-answer; err == nil {
				t.Fatal("a call whose request was held had an answer")
			}
			return held
		case err := <-answer:
			t.Fatalf("the request was not held: %v", err)
			return nil
		}
	}

	t.Run("a plain write that comes late goes back", func(t *testing.T) { // or the rest would prove nothing
		way := newStall(t, server)
		plain := goredis.NewClient(&goredis.Options{Addr: way.listener.Addr().String(), DB: 9, ContextTimeoutEnabled: true, MaxRetries: -1})
		defer plain.Close()
		late := lose(t, way, "plain-1", func(ctx context.Context) error {
			return plain.Set(ctx, "stall:plain", "plain-1", 0).Err()
		})
		if err := plain.Set(t.Context(), "stall:plain", "plain-2", 0).Err(); err != nil {
			t.Fatal(err)
		}
		late.deliver()
		if got := value("stall:plain"); got != "plain-1" {
			t.Errorf("value %q, want the old one", got)
		}
	})

	t.Run("a step that comes late does not", func(t *testing.T) {
		way, sink := stalled(t)
		batch := then(opened(t, sink, "stall-step"), "1", row("a", "value-1"))
		if err := sink.Apply(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		for _, last := range []bool{true, false} { // while the step is the last one, and after another
			batch = then(batch, batch.To+"1", row("a", "value-2"))
			late := lose(t, way, "value-2", func(ctx context.Context) error { return sink.Apply(ctx, batch) })
			if err := sink.Apply(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			if !last {
				batch = then(batch, batch.To+"2", row("a", "value-3"))
				if err := sink.Apply(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
			}
			want := value("stall-step:a")
			late.deliver()
			if got := value("stall-step:a"); got != want || got != string(batch.Rows[0].Value) {
				t.Errorf("value went from %q to %q", want, got)
			}
			if err := sink.Apply(t.Context(), batch); !errors.Is(err, topology.ErrDuplicate) {
				t.Errorf("the last step again: %v, want %v", err, topology.ErrDuplicate)
			}
		}
	})

	t.Run("a step that comes when somebody else writes does not", func(t *testing.T) {
		way, sink := stalled(t)
		batch := then(opened(t, sink, "stall-owner"), "1", row("a", "value-1"))
		late := lose(t, way, "value-1", func(ctx context.Context) error { return sink.Apply(ctx, batch) })
		other := then(opened(t, patient, "stall-owner"), "2", row("a", "value-2"))
		if err := patient.Apply(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		late.deliver()
		if got := value("stall-owner:a"); got != "value-2" {
			t.Errorf("value went back to %q", got)
		}
		if err := sink.Apply(t.Context(), batch); !errors.Is(err, topology.ErrFenced) {
			t.Errorf("the step again: %v, want %v", err, topology.ErrFenced)
		}
	})

	t.Run("an open that comes late does not fence its sender", func(t *testing.T) {
		way, sink := stalled(t)
		before := opened(t, sink, "stall-open")
		replaces := "\r\n" + strconv.FormatInt(before.Epoch, 10) + "\r\n" // in the call that changes something
		late := lose(t, way, replaces, func(ctx context.Context) error {
			_, err := sink.Open(ctx, before.Source, 0)
			return err
		})
		batch := opened(t, sink, "stall-open")
		late.deliver()
		if err := sink.Apply(t.Context(), then(batch, "1", row("a", "value-1"))); err != nil {
			t.Errorf("after a late open: %v", err)
		}
	})

	t.Run("a step whose answer was lost is a duplicate", func(t *testing.T) {
		way, sink := stalled(t)
		batch := then(opened(t, sink, "stall-answer"), "1", row("a", "value-1"))
		lose(t, way, "value-1", func(ctx context.Context) error { return sink.Apply(ctx, batch) }).deliver()
		if err := sink.Apply(t.Context(), batch); !errors.Is(err, topology.ErrDuplicate) {
			t.Errorf("the step again: %v, want %v", err, topology.ErrDuplicate)
		}
	})
}
