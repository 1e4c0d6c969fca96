package sinks

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemark-dev/tidemark/topology"
)

var (
	//go:embed open.lua
	openSource string
	//go:embed step.lua
	stepSource string

	openScript = newScript(openSource)
	stepScript = newScript(stepSource)
)

// A script is called by its hash. The values are kept as the client takes them.
type script struct{ hash, source any }

func newScript(source string) script {
	return script{redis.NewScript(source).Hash(), source}
}

// call returns the arguments of a call.
func (s script) call(fence string, args ...any) []any {
	return append([]any{"evalsha", s.hash, 1, fence}, args...)
}

// run sends a call once, and returns an answer of n values, or none. A server
// that does not know the script, as it has started again, has done nothing: it
// is sent the text. run writes that into call.
func (s script) run(ctx context.Context, client *redis.Client, call []any, n int) ([]string, error) {
	cmd := redis.NewStringSliceCmd(ctx, call...)
	err := client.Process(ctx, cmd)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		call[0], call[1] = "eval", s.source
		cmd = redis.NewStringSliceCmd(ctx, call...)
		err = client.Process(ctx, cmd)
	}
	if held := cmd.Val(); err != nil || len(held) == n || len(held) == 0 {
		return held, err
	}
	return nil, fmt.Errorf("an answer of %d values instead of %d", len(cmd.Val()), n)
}

// A server is one connected Redis. It is safe for concurrent use.
type server struct {
	client   *redis.Client
	dial     func(context.Context) (net.Conn, error)
	name     string // for errors
	password string // to keep it out of them
}

func newServer(o *redis.Options) *server {
	s := &server{name: serverName(o), password: o.Password}
	dial := o.Dialer
	if dial == nil {
		dial = redis.NewDialer(o)
	}
	s.dial = func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx, o.Network, o.Addr)
		if o.TLSConfig != nil && errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w: does the server speak TLS at this port?", err)
		}
		return conn, err
	}
	o.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := s.dial(ctx)
		if err != nil {
			return unconnected{err}, nil
		}
		return conn, nil
	}
	s.client = redis.NewClient(o)
	return s
}

// Unconnected stands for a connection that could not be made, and says why at
// its first use. The client's pool writes a line to stderr for each such error
// that it gets from a dialer, and after some it stops dialing for a second.
type unconnected struct{ err error }

func (u unconnected) Read([]byte) (int, error)       { return 0, u.err }
func (u unconnected) Write([]byte) (int, error)      { return 0, u.err }
func (unconnected) Close() error                     { return nil }
func (unconnected) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (unconnected) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (unconnected) SetDeadline(time.Time) error      { return nil }
func (unconnected) SetReadDeadline(time.Time) error  { return nil }
func (unconnected) SetWriteDeadline(time.Time) error { return nil }

// open calls the script of this name once; for a new epoch twice, and again if
// another owner came in between.
func (s *server) open(ctx context.Context, fence string, epoch int64) (topology.Place, error) {
	call := func(args ...any) (held [3]string, err error) {
		answer, err := openScript.run(ctx, s.client, openScript.call(fence, args...), len(held))
		copy(held[:], answer)
		return held, err
	}
	if epoch != 0 {
		held, err := call(strconv.FormatInt(epoch, 10))
		switch {
		case err != nil:
			return topology.Place{}, err
		case held[2] != "taken":
			return topology.Place{}, fenced(held[0], epoch)
		}
		return topology.Place{Epoch: epoch, Position: held[1]}, nil
	}
	for {
		asked, err := call("0")
		if err != nil {
			return topology.Place{}, err
		}
		mine, err := strconv.ParseInt(asked[2], 10, 64)
		if err != nil {
			return topology.Place{}, err
		}
		held, err := call(asked[2], asked[0])
		if err != nil {
			return topology.Place{}, err
		}
		if held[2] == "taken" {
			return topology.Place{Epoch: mine, Position: held[1]}, nil
		}
	}
}

func (s *server) apply(ctx context.Context, fence, prefix string, batch topology.Batch) error {
	call := steps.Get().(*step)
	defer call.release()
	held, err := stepScript.run(ctx, s.client, call.fill(fence, prefix, batch), 2)
	if err != nil || len(held) == 0 {
		return err
	}
	epoch, _ := strconv.ParseInt(held[0], 10, 64) // not a number: damaged, so a gap
	switch {
	case epoch > batch.Epoch:
		return fenced(held[0], batch.Epoch)
	case epoch == batch.Epoch && held[1] == batch.To:
		return topology.ErrDuplicate
	default:
		return fmt.Errorf("%w: it holds epoch %q at %q, the step is of epoch %d from %q to %q",
			topology.ErrGap, held[0], held[1], batch.Epoch, batch.From, batch.To)
	}
}

func fenced(stored string, ours int64) error {
	return fmt.Errorf("%w: its epoch is %s, ours %d", topology.ErrFenced, stored, ours)
}
