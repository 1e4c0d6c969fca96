package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/tidemark-dev/tidemark/processor"
)

// A view serves a processor's handler.
type view struct {
	server *http.Server
	url    string
	ended  chan struct{}
}

// listen listens at --addr.
func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("--addr: %s is taken: does another instance run? Choose another address, or \"\" for no view: %w", address, syscall.EADDRINUSE)
	case err != nil:
		return nil, fmt.Errorf("--addr: %w", err)
	}
	return l, nil
}

// serve starts a view. Requests that follow changes end with ctx.
func serve(ctx context.Context, p *processor.Processor, listener net.Listener) *view {
	v := &view{
		server: &http.Server{
			Handler:           p.Handler(),
			ReadHeaderTimeout: 10 * time.Second,
			ReadTimeout:       20 * time.Second,
			WriteTimeout:      5 * time.Minute, // of short answers; the handler bounds others by what is read
			IdleTimeout:       time.Minute,
			MaxHeaderBytes:    4 << 20, // a key of 1 MiB, percent-encoded
			BaseContext:       func(net.Listener) context.Context { return ctx },
		},
		url:   "http://" + reachable(listener.Addr().String()),
		ended: make(chan struct{}),
	}
	go func() {
		defer close(v.ended)
		_ = v.server.Serve(listener) // until it is shut down
	}()
	return v
}

// stop lets requests end, for a second.
func (v *view) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if v.server.Shutdown(ctx) != nil {
		v.server.Close()
	}
	<-v.ended
}

// reachable is the address at which a listening address is reached from here.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
