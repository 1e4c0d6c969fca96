//go:build unix

package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A watcher reads Redis all the time and counts every row that is older than
// what was seen of its key before. It asks Redis directly, not by the proxy.
type watcher struct {
	client   *redis.Client
	producer *producer
	rows     []*watched

	mu    sync.Mutex
	back  []stepBack
	total int
	reads int
}

// watched is what is known of a key. Its floor is the highest number that Redis
// is known to have reflected: of a row seen, or of the first tombstone after it
// when the row was gone. A row that goes while Redis was emptied tells nothing.
type watched struct {
	workload
	key, redisKey string
	floor         int64
	deleted       bool   // the floor is a tombstone's
	present       bool   // seen since Redis was last emptied
	wrong         string // the row that was counted last, "" after a right one
}

// A stepBack is a row that Redis must not have shown.
type stepBack struct {
	Key   string `json:"key"`
	After int64  `json:"after"`
	Row   string `json:"row"`
	At    string `json:"at"`
}

// marker is a key of the watcher's own. Its absence tells that Redis was emptied.
const marker = "tidemark-crash-watcher"

// watch reads a few keys in every round, and each round some of the others too.
func (w *watcher) watch(ctx context.Context) {
	const often, inTurn = 200, 200
	for from := 0; ctx.Err() == nil; from += inTurn {
		rows := w.rows[:min(often, len(w.rows))]
		if len(w.rows) > often {
			others := w.rows[often:]
			at := from % len(others)
			rows = append(rows[:len(rows):len(rows)], others[at:min(at+inTurn, len(others))]...)
		}
		if err := w.round(ctx, rows); err != nil {
			sleep(ctx, 10*time.Millisecond) // Redis is away
		}
		sleep(ctx, 3*time.Millisecond)
	}
}

// round reads the rows and the marker in one step.
func (w *watcher) round(ctx context.Context, rows []*watched) error {
	keys := []string{marker}
	for _, r := range rows {
		keys = append(keys, r.redisKey)
	}
	values, err := w.client.MGet(ctx, keys...).Result()
	if err != nil {
		return err
	}
	if values[0] == nil {
		for _, r := range w.rows {
			r.present = false
		}
		if err := w.client.Set(ctx, marker, "1", 0).Err(); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads += len(rows)
	for i, r := range rows {
		if text, ok := values[i+1].(string); ok {
			w.see(r, text)
		} else {
			w.miss(r)
		}
	}
	return nil
}

func (w *watcher) see(r *watched, text string) {
	number, err := r.numberOfText([]byte(text))
	r.present = true
	if err == nil && number >= aborted {
		err = errors.New("of an aborted transaction")
	}
	if err == nil && (number > r.floor || number == r.floor && !r.deleted) {
		r.floor, r.deleted, r.wrong = number, false, ""
		return
	}
	if text == r.wrong {
		return // still the same step back
	}
	r.wrong = text
	w.total++
	if len(w.back) < 20 {
		w.back = append(w.back, stepBack{r.key, r.floor, text, time.Now().Format("15:04:05.000")})
		say("step back: %s was at %d, and shows %q", r.key, r.floor, text)
	}
}

func (w *watcher) miss(r *watched) {
	if !r.present {
		return
	}
	r.present = false
	number, ok := w.producer.tombstone(r.key, r.floor)
	if ok {
		r.floor, r.deleted = number, true
		return
	}
	w.total++ // nobody deleted it
	if len(w.back) < 20 {
		w.back = append(w.back, stepBack{r.key, r.floor, "", time.Now().Format("15:04:05.000")})
		say("step back: %s was at %d, and is missing without a tombstone", r.key, r.floor)
	}
}

func newWatcher(client *redis.Client, p *producer) *watcher {
	w := &watcher{client: client, producer: p}
	for i := range p.o.keys { // the workloads by turns: the first rows are read most
		for _, l := range p.o.workloads {
			w.rows = append(w.rows, &watched{workload: l, key: l.key(i), redisKey: l.redisKey(l.key(i))})
		}
	}
	return w
}

// result returns how often a row went back, examples and how many rows were read.
func (w *watcher) result() (total int, examples []stepBack, reads int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total, w.back, w.reads
}
