//go:build unix

package main

import (
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// What Redis shows, round by round, and how many steps back there are in it.
func TestWatcher(t *testing.T) {
	for name, c := range map[string]struct {
		deleted []int64
		shown   string // a row's number, - for none, flush
		back    int
	}{
		"rises":                         {nil, "1 2 2 5", 0},
		"falls":                         {nil, "1 5 4", 1},
		"falls after it was emptied":    {nil, "5 flush 4", 1},
		"comes again after it was":      {nil, "5 flush - 5", 0},
		"is deleted":                    {[]int64{6}, "5 - 7", 0},
		"is deleted and comes back":     {[]int64{6}, "5 - 5", 1},
		"comes back much later":         {[]int64{6}, "5 - - flush - 5", 1},
		"is missing without a reason":   {nil, "5 - 6", 1},
		"is missing after a flush":      {nil, "5 flush - - 6", 0},
		"was never there":               {[]int64{1}, "- - 2", 0},
		"two tombstones, one was shown": {[]int64{3, 6}, "1 - 4 - 7", 0},
		"an aborted record":             {nil, "1 1099511627776", 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := miniredis.RunT(t)
			client := redis.NewClient(&redis.Options{Addr: server.Addr()})
			defer client.Close()
			l := workloads[0]
			p := newProducer(options{program: program{workloads: workloads[:1]}, keys: 1}, "test")
			p.deleted[l.key(0)] = c.deleted
			w := newWatcher(client, p)
			look := func() {
				t.Helper()
				if err := w.round(t.Context(), w.rows); err != nil {
					t.Fatal(err)
				}
			}
			look()
			for shown := range strings.FieldsSeq(c.shown) {
				key := l.redisKey(l.key(0))
				switch shown {
				case "flush":
					server.FlushAll()
				case "-":
					server.Del(key)
				default:
					if err := server.Set(key, `{"state":"HAPPY","helloCount":`+shown+`,"helloTotalCount":`+shown+`0}`); err != nil {
						t.Fatal(err)
					}
				}
				look()
			}
			if total, examples, _ := w.result(); total != c.back {
				t.Errorf("%d steps back in %q, want %d: %v", total, c.shown, c.back, examples)
			}
		})
	}
}
