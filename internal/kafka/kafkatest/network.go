// Package kafkatest has what tests put between brokers in the process and their
// clients.
package kafkatest

import (
	"encoding/binary"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A Network lies between the brokers and their clients. It loses answers, goes down,
// and stands still.
type Network struct {
	mu     sync.Mutex
	lost   map[int16]int // requests by key whose answers are to be lost
	hits   int
	down   bool
	conns  map[*conn]bool
	frozen map[string]chan struct{} // by the broker's address, closed when it goes on
}

// NewNetwork returns a network that works. Its Listen is for kfake.ListenFn.
func NewNetwork() *Network {
	return &Network{lost: map[int16]int{}, conns: map[*conn]bool{}, frozen: map[string]chan struct{}{}}
}

// Lose has the next n requests of a kind be carried out, and the connection
// closed instead of the answer.
func (n *Network) Lose(key kmsg.Key, times int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lost[int16(key)] = times
}

// Losses returns how many answers were lost.
func (n *Network) Losses() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hits
}

// Cut closes every connection and those that are made, until Mend.
func (n *Network) Cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = true
	for c := range n.conns {
		_ = c.Conn.Close()
	}
}

func (n *Network) Mend() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = false
}

// Freeze has a broker stand still, as a host that hangs does: connections to it are
// made, and nothing is answered, until Thaw.
func (n *Network) Freeze(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frozen[address] = make(chan struct{})
}

// Thaw ends Freeze: the broker finds all that was sent to it meanwhile.
func (n *Network) Thaw(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.frozen[address])
	delete(n.frozen, address)
}

// Listen makes the broker's end of the network.
func (n *Network) Listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return listener{l, n}, err
}

type listener struct {
	net.Listener
	network *Network
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	if l.network.down {
		_ = c.Close()
	}
	own := &conn{Conn: c, network: l.network}
	l.network.conns[own] = true
	return own, nil
}

// A conn is a broker's end of a connection. It reads along to know the requests;
// a broker answers them in order and takes one at a time.
type conn struct {
	net.Conn
	network *Network
	head    []byte // of the request that is being read: size and key
	rest    int    // bytes of it still to come
	lose    bool
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.network.mu.Lock()
	frozen := c.network.frozen[c.LocalAddr().String()]
	c.network.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
	for data := p[:n]; len(data) > 0; {
		if len(c.head) < 6 {
			take := min(6-len(c.head), len(data))
			c.head = append(c.head, data[:take]...)
			if data = data[take:]; len(c.head) < 6 {
				break
			}
			c.rest = int(binary.BigEndian.Uint32(c.head)) - 2
			c.begin(int16(binary.BigEndian.Uint16(c.head[4:])))
		}
		take := min(c.rest, len(data))
		data = data[take:]
		if c.rest -= take; c.rest == 0 {
			c.head = c.head[:0]
		}
	}
	return n, err
}

func (c *conn) begin(key int16) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.network.lost[key] > 0 {
		c.network.lost[key]--
		c.network.hits++
		c.lose = true
	}
}

func (c *conn) Write(p []byte) (int, error) {
	c.network.mu.Lock()
	lose := c.lose
	c.network.mu.Unlock()
	if lose {
		return 0, c.Close()
	}
	return c.Conn.Write(p)
}

func (c *conn) Close() error {
	c.network.mu.Lock()
	delete(c.network.conns, c)
	c.network.mu.Unlock()
	return c.Conn.Close()
}
