// Package redis copies tables into Redis.
//
// A sink is a literal with named fields; it connects when it is first used:
//
//	topology.Sync(table, &redis.Sink{Addr: "localhost:6379"})
//
// Sinks for other systems have packages of their own, so that nobody links a client
// that he does not use. A sink of your own implements [topology.Sink] and passes
// sinktest.Run.
package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/tidemark-dev/tidemark/topology"
)

// A Sink keeps each row in the string key "<category>:<row key>". Both parts are
// text, as the command line prints it: a string is itself, a number is decimal, a
// struct is JSON, and the row of a window is "<category>:<key>:<start>" with the
// start in RFC 3339, or "<category>:<key>:<start>/<end>" for sliding windows and
// sessions. What codec.Bytes has written stays as it is. A colon or backslash
// within the category is escaped with a backslash, so that two keys never collide.
// Use one value, and one category, for one table. docs/redis.md says the rest.
//
// The hash "tidemark:owner:<category>" says whose the category is: one table of
// one application on one Kafka cluster; everybody else is refused. A fence for
// each partition holds its epoch, position and format:
// "tidemark:fence:<table>:<partition>", or
// "tidemark:fence:<table>:<category>:<partition>" if the category is not the
// table's name. A step is one script: a reader sees all of it or nothing, and
// the server does nothing else meanwhile, so keep steps near 1,000 rows.
//
// A call that waits for the server ends with its answer, a timeout or the
// deadline of its context, and not at once when that is cancelled.
//
// It writes to one server, Redis 5 or later, or Valkey; Cluster and Sentinel are
// not supported yet. A server that has a maxmemory and would evict keys without a
// TTL is refused: a row would be missing until it changes again.
type Sink struct {
	// Addr is "host:port" or a URL: redis://user:password@host:port/database,
	// rediss:// for TLS. Required.
	Addr string

	// Category defaults to the name of the table's store. "tidemark" is taken.
	Category string

	// Raw keeps the bytes of the table's codecs instead of text.
	Raw bool

	// Key returns what stands for a row's key behind the category, from the bytes of
	// its codec. It must give each row a name of its own: two rows that come to one are
	// an error. So that this is known, and keys can be found again, the hash
	// "tidemark:keys:<category>" holds the row of each name. Defaults to text.
	Key func(key []byte) (string, error)

	// Value returns what is kept for a row's value, from the bytes of its codec.
	// Defaults to text.
	Value func(value []byte) ([]byte, error)

	// Version is of Key and Value: with another one the table is written again.
	Version string

	// Options are for TLS, users and tuning. What Addr says goes before them, and
	// the client's own retries are always off. Timeouts default to 3 seconds, and
	// longer for large steps; the pool to 128 connections, of which each partition
	// uses one at a time.
	Options *redis.UniversalOptions

	mu     sync.Mutex
	server *server // nil before the first use and after Close
	table  string  // the one that has the category
}

var (
	_ topology.Sink = (*Sink)(nil)
	_ io.Closer     = (*Sink)(nil)
)

// String returns "redis host:port", with the database and the category if they
// are not the default ones, and never a password.
func (r *Sink) String() string {
	name := "redis (no valid address)"
	if options, err := r.options(); err == nil {
		name = serverName(options)
	}
	if r.Category != "" {
		name += " " + r.Category
	}
	return name
}

// Validate reports settings that cannot work.
func (r *Sink) Validate() error {
	_, err := r.options()
	if err == nil && r.Category == reserved {
		err = fmt.Errorf("redis: category %q is taken", r.Category)
	}
	return err
}

// Open implements [topology.Sink].
func (r *Sink) Open(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
	s, err := r.connected(from.Table)
	if err != nil {
		return topology.Place{}, err
	}
	place, err := s.open(ctx, r.layout(from), epoch)
	if err != nil {
		err = s.greeting(ctx, err)
	} else {
		err = s.look(ctx)
	}
	if err != nil {
		return topology.Place{}, s.explain("open "+from.String(), err)
	}
	return place, nil
}

// Apply implements [topology.Sink].
func (r *Sink) Apply(ctx context.Context, batch topology.Batch) error {
	s, err := r.connected(batch.Table)
	if err != nil {
		return err
	}
	if s.evicts.Load() != nil {
		err = s.look(ctx)
	}
	if err == nil {
		err = s.apply(ctx, r.layout(batch.Source), batch)
	}
	if err != nil {
		return s.explain("apply to "+batch.String(), err)
	}
	_ = s.look(ctx) // the next step says what it has seen
	return nil
}

// Keys implements [topology.Sink]. It looks at every key of the database, also
// at those of others.
func (r *Sink) Keys(ctx context.Context, of topology.Source) iter.Seq2[topology.Held, error] {
	return func(yield func(topology.Held, error) bool) {
		s, err := r.connected(of.Table)
		if err != nil {
			yield(topology.Held{}, err)
			return
		}
		for held, err := range s.keys(ctx, r.layout(of)) {
			if err != nil {
				err = s.explain("list "+of.Table, err)
			}
			if !yield(held, err) || err != nil {
				return
			}
		}
	}
}

// Close closes the connections to Redis. The next call makes new ones.
func (r *Sink) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server == nil {
		return nil
	}
	s := r.server
	r.server = nil
	if err := s.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("%s: close: %w", s.name, err)
	}
	return nil
}

// connected returns the server, after a look at what a user may have got wrong.
func (r *Sink) connected(table string) (*server, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.category(table) == "" || r.category(table) == reserved:
		return nil, refusedf("redis: no category can be %q: set Category to another", r.category(table))
	case r.Category != "" && r.table != "" && r.table != table:
		return nil, refusedf("redis: category %q is of table %q: table %q needs a sink of its own, with another category", r.Category, r.table, table)
	}
	r.table = table
	if r.server == nil {
		options, err := r.options()
		if err != nil {
			return nil, &topology.RefusedError{Err: err}
		}
		r.server = newServer(options)
	}
	return r.server, nil
}

func (r *Sink) category(table string) string {
	if r.Category != "" {
		return r.Category
	}
	return table
}
