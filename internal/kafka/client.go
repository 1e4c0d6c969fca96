package kafka

import (
	"context"

	"github.com/IBM/sarama"
)

// A Client is one of sarama's, with connections of its own.
type Client struct {
	Sarama sarama.Client
	dialer *dialer
}

// Cut closes all connections and refuses new ones. Requests that wait for an answer
// return with an error.
func (c *Client) Cut() { c.dialer.cut() }

// IsCut tells whether the connections were cut.
func (c *Client) IsCut() bool { return c.dialer.over.Err() != nil }

// Close closes the client. It waits for no broker.
func (c *Client) Close() error {
	c.Cut()
	return c.Sarama.Close()
}

// connect returns a client for settings, which it changes. It gives up when ctx is
// done, even if a broker does not answer. While hurry says so, answers are due within
// requestTimeout; it may be nil.
func connect(ctx context.Context, brokers []string, cfg *sarama.Config, hurry func() bool) (*Client, error) {
	d := newDialer(cfg)
	d.hurry = hurry
	defer context.AfterFunc(ctx, d.cut)()
	c, err := sarama.NewClient(brokers, cfg)
	if ctx.Err() != nil {
		if err == nil {
			_ = c.Close()
		}
		return nil, ctx.Err()
	}
	if err != nil {
		d.cut()
		return nil, err
	}
	return &Client{c, d}, nil
}
