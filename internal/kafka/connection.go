package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// sarama's calls take no context, and a broker that accepts a connection and never
// answers can hold them up for minutes. So a dialer makes all connections of a client:
// when it is cut, it closes them and makes no more, and each call that waits for one of
// them returns with an error.

// A dialer makes the connections of one client. It is safe for concurrent use.
type dialer struct {
	dial  func(network, address string) (net.Conn, error)
	hurry func() bool // answers are due within requestTimeout; nil for never

	mu    sync.Mutex
	over  context.Context // done once it is cut
	end   context.CancelFunc
	conns map[*connection]struct{}
}

// newDialer returns a dialer that is set up in a client's configuration. It dials
// as the configuration says.
func newDialer(cfg *sarama.Config) *dialer {
	d := &dialer{conns: map[*connection]struct{}{}}
	d.over, d.end = context.WithCancel(context.Background())
	if cfg.Net.Proxy.Enable {
		d.dial = cfg.Net.Proxy.Dialer.Dial
	} else {
		d.dial = (&net.Dialer{Timeout: cfg.Net.DialTimeout, KeepAlive: cfg.Net.KeepAlive, LocalAddr: cfg.Net.LocalAddr}).Dial
	}
	cfg.Net.Proxy.Enable, cfg.Net.Proxy.Dialer = true, d
	backoff, pause := cfg.Metadata.Retry.BackoffFunc, cfg.Metadata.Retry.Backoff
	cfg.Metadata.Retry.BackoffFunc = func(retries, most int) time.Duration {
		switch {
		case d.over.Err() != nil:
			return 0 // there is nothing to wait for
		case backoff != nil:
			return backoff(retries, most)
		}
		return pause
	}
	return d
}

var errCut = fmt.Errorf("the connections to Kafka are closed: %w", net.ErrClosed)

// Dial makes a connection.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := Call(d.over, func() (net.Conn, error) {
		conn, err := d.dial(network, address)
		if err != nil {
			return nil, err
		}
		c := &connection{Conn: conn, d: d, broker: address}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.over.Err() != nil {
			_ = conn.Close()
			return nil, errCut
		}
		d.conns[c] = struct{}{}
		return c, nil
	})
	if errors.Is(err, context.Canceled) {
		err = errCut
	}
	return conn, err
}

// cut closes all connections, and lets no more be made.
func (d *dialer) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end()
	for c := range d.conns {
		_ = c.Conn.Close()
	}
	clear(d.conns)
}

// A connection is one to a broker, whose errors name it.
type connection struct {
	net.Conn
	d      *dialer
	broker string
}

// Read closes a connection whose broker is silent for too long: sarama would send
// two more requests on it, and wait as long for each.
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = c.Close()
		err = fmt.Errorf("broker %s does not answer: %w", c.broker, err)
	}
	if errors.Is(err, io.EOF) { // others name the address by themselves
		err = fmt.Errorf("broker %s closed the connection: %w", c.broker, io.EOF)
	}
	return n, err
}

// SetReadDeadline says when an answer is due. sarama has one time-out for all requests
// of a client, which is long if one of them is.
func (c *connection) SetReadDeadline(t time.Time) error {
	if c.d.hurry != nil && c.d.hurry() {
		if soon := time.Now().Add(requestTimeout); soon.Before(t) {
			t = soon
		}
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *connection) Close() error {
	c.d.mu.Lock()
	delete(c.d.conns, c)
	c.d.mu.Unlock()
	return c.Conn.Close()
}

// Call returns what f returns, or ctx's error as soon as ctx is done. f then goes on in
// a goroutine that ends when its client is closed: it must not write what others read.
func Call[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := f()
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
