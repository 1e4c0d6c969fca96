//go:build unix

package main

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A proxy stands between workers and Redis and can stall: what workers send is
// held and delivered late, as by a network that is congested or a machine that
// was asleep; with cut also when the worker has long given up, in which case a
// writer that repeats itself sees its old batch come after its new one.
type proxy struct {
	listener net.Listener
	to       string
	late     atomic.Int64 // bytes delivered after their sender was gone

	mu    sync.Mutex
	links map[*link]bool
}

// A link is one connection through the proxy.
type link struct {
	client, server net.Conn
	gone           atomic.Bool

	mu   sync.Mutex
	hold chan struct{} // closed when held bytes may go; nil if nothing is held
}

func newProxy(to string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: listener, to: to, links: map[*link]bool{}}
	go p.accept()
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go p.serve(client)
	}
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.DialTimeout("tcp", p.to, time.Second)
	if err != nil {
		_ = client.Close() // to the worker, Redis is away
		return
	}
	l := &link{client: client, server: server}
	p.mu.Lock()
	p.links[l] = true
	p.mu.Unlock()
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if n > 0 {
				if _, e := client.Write(buffer[:n]); e != nil && !l.gone.Load() {
					break
				}
			}
			if err != nil {
				break
			}
		}
		_ = client.Close()
		_ = server.Close()
	}()
	p.forward(l)
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// forward copies from the worker to Redis. While the link holds, it goes on
// reading, so that all that the worker sends is delivered in the end.
func (p *proxy) forward(l *link) {
	incoming := make(chan []byte, 1024)
	go func() {
		defer close(incoming)
		for {
			buffer := make([]byte, 16<<10)
			n, err := l.client.Read(buffer)
			if n > 0 {
				incoming <- buffer[:n]
			}
			if err != nil {
				l.gone.Store(true)
				return
			}
		}
	}()
	for data := range incoming {
		l.mu.Lock()
		hold := l.hold
		l.mu.Unlock()
		if hold != nil {
			<-hold
			if l.gone.Load() {
				p.late.Add(int64(len(data)))
			}
		}
		if _, err := l.server.Write(data); err != nil {
			break
		}
	}
	if l.gone.Load() {
		time.Sleep(100 * time.Millisecond) // Redis reads what came late before the end of it
	}
	_ = l.server.Close()
	_ = l.client.Close()
	for range incoming { // lets the reader end
	}
}

// stall holds what is sent on the connections of now, and delivers it when the
// time is over; with cut, the workers are cut off half way. New connections work
// meanwhile.
func (p *proxy) stall(d time.Duration, cut bool) {
	p.mu.Lock()
	var held []*link
	for l := range p.links {
		l.mu.Lock()
		if l.hold == nil {
			l.hold = make(chan struct{})
			held = append(held, l)
		}
		l.mu.Unlock()
	}
	p.mu.Unlock()
	time.Sleep(d / 2)
	if cut {
		for _, l := range held {
			_ = l.client.Close()
		}
	}
	time.Sleep(d / 2)
	for _, l := range held {
		l.mu.Lock()
		close(l.hold)
		l.hold = nil
		l.mu.Unlock()
	}
}

func (p *proxy) close() { _ = p.listener.Close() }
