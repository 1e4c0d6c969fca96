package redis

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
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

// run sends a call once, and returns its answer. A server that does not know the
// script, as it has started again, has done nothing: it is sent the text. run
// writes that into call.
func (s script) run(ctx context.Context, client *redis.Client, call []any) ([]string, error) {
	cmd := redis.NewStringSliceCmd(ctx, call...)
	err := client.Process(ctx, cmd)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		call[0], call[1] = "eval", s.source
		cmd = redis.NewStringSliceCmd(ctx, call...)
		err = client.Process(ctx, cmd)
	}
	return cmd.Val(), err
}

// A server is one connected Redis. It is safe for concurrent use.
type server struct {
	client   *redis.Client
	dial     func(context.Context) (net.Conn, error)
	name     string // for errors
	tls      bool
	username string
	password string // also to keep it out of errors

	bulk   atomic.Int64 // the most bytes of a name or a value
	looked atomic.Int64 // when look last asked, in nanoseconds since 1970
	evicts atomic.Pointer[string]
}

func newServer(o *redis.Options) *server {
	s := &server{name: serverName(o), username: o.Username, password: o.Password, tls: o.TLSConfig != nil}
	s.bulk.Store(512 << 20)
	dial := o.Dialer
	if dial == nil {
		dial = redis.NewDialer(o)
	}
	s.dial = func(ctx context.Context) (net.Conn, error) { return dial(ctx, o.Network, o.Addr) }
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
func (s *server) open(ctx context.Context, l layout, epoch int64) (topology.Place, error) {
	call := func(args ...any) (held []string, err error) {
		owner := l.from.Owner
		all := []any{"evalsha", openScript.hash, 2, l.fence, l.owner, owner.Application, owner.Cluster, l.from.Table, l.format}
		held, err = openScript.run(ctx, s.client, append(all, args...))
		switch {
		case err != nil:
			return nil, err
		case len(held) == 4 && held[0] == "foreign":
			return nil, l.foreign(held[1:])
		case len(held) != 3:
			return nil, fmt.Errorf("an answer of %d values instead of 3", len(held))
		}
		return held, nil
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

func (s *server) apply(ctx context.Context, l layout, batch topology.Batch) error {
	call := steps.Get().(*step)
	defer call.release()
	if err := call.fill(&l, &batch, int(s.bulk.Load())); err != nil {
		return err
	}
	client := s.client
	if call.size > largeStep {
		client = client.WithTimeout(client.Options().ReadTimeout + time.Duration(call.size/slowest)*time.Second)
	}
	held, err := stepScript.run(ctx, client, call.args)
	switch {
	case err != nil && s.refusesBulk(ctx, call.most, err):
		s.bulk.Store(int64(call.most) - 1)
		return cmp.Or(call.fill(&l, &batch, call.most-1), err) // it names the row
	case err != nil:
		return err
	case len(held) == 0:
		return nil
	case held[0] == "foreign" && len(held) == 4:
		return l.foreign(held[1:])
	case held[0] == "collides" && len(held) == 4:
		return &topology.RowError{Key: []byte(held[3])[1:], Err: fmt.Errorf("its name %q is that of the row %.100q too: the sink's Key must give each row a name of its own", held[1], held[2][1:])}
	case len(held) != 2:
		return fmt.Errorf("an answer of %d values instead of 2", len(held))
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

const (
	largeStep = 1 << 20
	slowest   = 4 << 20 // bytes a second that a large step is given time for
)

func fenced(stored string, ours int64) error {
	return fmt.Errorf("%w: its epoch is %s, ours %d", topology.ErrFenced, stored, ours)
}
