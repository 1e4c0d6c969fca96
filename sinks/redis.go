// Package sinks copies tables into outside systems.
//
// There is one type for each kind of system. A sink is a literal with named
// fields; it connects when it is first used:
//
//	topology.Sync(table, &sinks.Redis{Addr: "localhost:6379"})
//
// A sink of your own implements [topology.Sink] and passes sinktest.Run.
package sinks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/tidemark-dev/tidemark/topology"
)

// Redis keeps each row in the string key "<category>:<row key>", as the table's
// codec wrote it. A colon or backslash within the category is escaped with a
// backslash, so that two keys never collide. Use one value, and one category,
// for one table.
//
// Beside the rows lies a hash for each partition, the fence, with the fields
// epoch and position: "tidemark:fence:<table>:<partition>", or
// "tidemark:fence:<table>:<category>:<partition>" if the category is not the
// table's name. A step is one script: a reader sees all of it or nothing, and
// the server does nothing else meanwhile, so keep steps near 1,000 rows.
//
// A call that waits for the server ends with its answer, a timeout or the
// deadline of its context, and not at once when that is cancelled.
//
// It writes to one server, Redis 5 or later; Cluster and Sentinel are not
// supported yet. The server's maxmemory-policy must be noeviction: an evicted
// row is missing until it changes again.
type Redis struct {
	// Addr is "host:port" or a URL: redis://user:password@host:port/database,
	// rediss:// for TLS. Required.
	Addr string

	// Category defaults to the name of the table's store. "tidemark" is taken.
	Category string

	// Options are for TLS, users and tuning. What Addr says goes before them, and
	// the client's own retries are always off. Timeouts default to 3 seconds, the
	// pool to 128 connections, of which each partition uses one at a time.
	Options *redis.UniversalOptions

	mu     sync.Mutex
	server *server // nil before the first use and after Close
	table  string  // the one that has the category
}

var (
	_ topology.Sink = (*Redis)(nil)
	_ io.Closer     = (*Redis)(nil)
)

// String returns "redis host:port", with the database and the category if they
// are not the default ones, and never a password.
func (r *Redis) String() string {
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
func (r *Redis) Validate() error {
	_, err := r.options()
	if err == nil && r.Category == reserved {
		err = fmt.Errorf("redis: category %q is taken", r.Category)
	}
	return err
}

// Open implements [topology.Sink].
func (r *Redis) Open(ctx context.Context, from topology.Source, epoch int64) (topology.Place, error) {
	s, err := r.connected(from.Table)
	if err != nil {
		return topology.Place{}, err
	}
	place, err := s.open(ctx, r.fence(from), epoch)
	if err != nil {
		return topology.Place{}, s.explain("open "+from.String(), s.greeting(ctx, err))
	}
	return place, nil
}

// Apply implements [topology.Sink].
func (r *Redis) Apply(ctx context.Context, batch topology.Batch) error {
	s, err := r.connected(batch.Table)
	if err != nil {
		return err
	}
	if err := s.apply(ctx, r.fence(batch.Source), r.prefix(batch.Table), batch); err != nil {
		return s.explain("apply to "+batch.String(), err)
	}
	return nil
}

// Keys implements [topology.Sink]. It looks at every key of the database, also
// at those of others.
func (r *Redis) Keys(ctx context.Context, table string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		s, err := r.connected(table)
		if err != nil {
			yield(nil, err)
			return
		}
		prefix := r.prefix(table)
		match := globEscaper.Replace(prefix) + "*"
		for cursor := uint64(0); ; {
			keys, next, err := s.client.Scan(ctx, cursor, match, 1000).Result()
			if err != nil {
				yield(nil, s.explain("list "+table, err))
				return
			}
			for _, key := range keys {
				if !yield([]byte(strings.TrimPrefix(key, prefix)), nil) {
					return
				}
			}
			if cursor = next; cursor == 0 {
				return
			}
		}
	}
}

// Close closes the connections to Redis. The next call makes new ones.
func (r *Redis) Close() error {
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
func (r *Redis) connected(table string) (*server, error) {
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

func (r *Redis) category(table string) string {
	if r.Category != "" {
		return r.Category
	}
	return table
}

// prefix returns what the keys of all rows of a table begin with. No prefix
// begins with another: an escaped category has no colon without a backslash.
func (r *Redis) prefix(table string) string {
	return keyEscaper.Replace(r.category(table)) + ":"
}

// fence returns the key of a partition's epoch and position. It is no row's key,
// because no row is of the category "tidemark".
func (r *Redis) fence(of topology.Source) string {
	name := reserved + ":fence:" + keyEscaper.Replace(of.Table) + ":"
	if category := r.category(of.Table); category != of.Table {
		name += keyEscaper.Replace(category) + ":"
	}
	return name + strconv.Itoa(int(of.Partition))
}
