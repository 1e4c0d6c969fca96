package referee

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Target is Redis as a referee sees it.
type Target struct {
	Client *redis.Client
}

// Dial returns the Redis at an address. It contacts nothing. The client's own
// lines on stderr are off: a server that is away is a fault that was made.
func Dial(addr string) *Target {
	redis.SetLogger(silence{})
	return &Target{redis.NewClient(&redis.Options{
		Addr: addr, DialerRetries: 1,
		// The pool repeats its last error for up to a second after Redis is back.
		MaxRetries: 10, MinRetryBackoff: 50 * time.Millisecond, MaxRetryBackoff: time.Second,
	})}
}

// Claim empties Redis for a run. Without force it refuses if there is anything
// in it: that may be somebody's data.
func (t *Target) Claim(ctx context.Context, force bool) error {
	n, err := t.Client.DBSize(ctx).Result()
	if err != nil {
		return fmt.Errorf("redis at %s: %w: is it running?", t.Client.Options().Addr, err)
	}
	if n > 0 && !force {
		return fmt.Errorf("redis at %s holds %d keys, and all of them would be lost: is it the right one? -flush empties it", t.Client.Options().Addr, n)
	}
	if err := t.Client.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("empty redis at %s: %w", t.Client.Options().Addr, err)
	}
	return nil
}

// Values calls see for each key, in order, with what Redis holds: nil for none.
func (t *Target) Values(ctx context.Context, keys []string, see func(i int, value []byte)) error {
	const at = 2000 // keys a command: a larger one would hold up the others
	for from := 0; from < len(keys); from += at {
		part := keys[from:min(from+at, len(keys))]
		values, err := t.Client.MGet(ctx, part...).Result()
		if err != nil {
			return fmt.Errorf("read %d keys of redis: %w", len(part), err)
		}
		for i, v := range values {
			if s, ok := v.(string); ok {
				see(from+i, []byte(s))
			} else {
				see(from+i, nil)
			}
		}
	}
	return nil
}

// Count returns how many keys begin with the prefix.
func (t *Target) Count(ctx context.Context, prefix string) (int, error) {
	keys, err := t.Keys(ctx, prefix)
	return len(keys), err
}

// Keys returns the keys that begin with the prefix, by walking through all.
func (t *Target) Keys(ctx context.Context, prefix string) ([]string, error) {
	seen := map[string]struct{}{} // a walk may meet a key twice
	walk := t.Client.Scan(ctx, 0, prefix+"*", 1000).Iterator()
	for walk.Next(ctx) {
		seen[walk.Val()] = struct{}{}
	}
	if err := walk.Err(); err != nil {
		return nil, fmt.Errorf("list keys of redis: %w", err)
	}
	return slices.Collect(maps.Keys(seen)), nil
}

// Close ends the connections.
func (t *Target) Close() error { return t.Client.Close() }

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
