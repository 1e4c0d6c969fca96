// Package webtest has an instance whose rows are in memory, for tests.
package webtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/internal/rows"
	"github.com/tidemark-dev/tidemark/internal/web"
	"github.com/tidemark-dev/tidemark/topology"
)

// A Greeting is a row of Greeters.
type Greeting struct {
	Count int64 `json:"count"`
}

// What the topology of tests reads and keeps.
var (
	Greetings = topology.Topic[string, Greeting]{Name: "greetings", Key: codec.String{}, Value: codec.JSON[Greeting]{}}
	Greeters  = topology.Store[string, Greeting]{Name: "greeters"}
	Numbers   = topology.Topic[int64, string]{Name: "numbers", Key: codec.Int64{}, Value: codec.String{}}
	Numerals  = topology.Store[int64, string]{Name: "numerals"}
)

// Topology has the tables Greeters and Numerals.
func Topology(t testing.TB) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder("app")
	topology.Materialize(b, Greetings, Greeters)
	topology.Materialize(b, Numbers, Numerals)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// An Instance has its rows in memory. A test sets its fields between requests.
type Instance struct {
	Topology  *topology.Topology
	State     string
	Restoring int64
	Owner     []string // of each partition; "" for this instance
	Own       []int32
	Next      map[string]chan topology.Raw // by store: what a watch is told of, until it is closed

	mu   sync.Mutex
	kept map[string][]topology.Raw // by store
}

// New returns an instance that has some of two partitions.
func New(topo *topology.Topology, own ...int32) *Instance {
	return &Instance{
		Topology: topo, State: "running", Owner: make([]string, 2), Own: own,
		kept: map[string][]topology.Raw{}, Next: map[string]chan topology.Raw{},
	}
}

// Put keeps a row; its offset is the number of rows before.
func (h *Instance) Put(t testing.TB, store, key, value string) {
	t.Helper()
	r, err := h.Topology.Parse(store, key, []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	r.Position = topology.Position{Topic: "app-" + store + "-table", Partition: h.Partition(r.Key), Offset: int64(len(h.kept[store]))}
	r.Time = time.UnixMilli(int64(len(h.kept[store]))).UTC()
	h.kept[store] = append(h.kept[store], r)
}

// Partition is where a key is.
func (h *Instance) Partition(key []byte) int32 { return topology.Partition(key, int32(len(h.Owner))) }

// Status is what a program would read.
func (h *Instance) Status() any {
	return map[string]string{"state": h.Health().State}
}

func (h *Instance) Health() web.Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	return web.Health{
		State: h.State, Ready: h.State == "running", Ended: h.State == "failed",
		Restore: h.Restoring * int64(len(h.Own)*len(h.Topology.Stores())),
	}
}

func (h *Instance) Metrics() []web.Metric {
	return []web.Metric{{Name: "records_total", Kind: "counter", Help: "Records.", Samples: []web.Sample{{Value: 7}}}}
}

func (h *Instance) Tables() []web.Table {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := []web.Table{}
	for _, name := range h.Topology.Stores() {
		list = append(list, web.Table{
			Name: name, Topic: "app-" + name + "-table", State: h.State,
			Partitions: slices.Clone(h.Own), Restore: h.Restoring * int64(len(h.Own)),
		})
	}
	return list
}

func (h *Instance) unready() error {
	if h.Restoring > 0 {
		return fmt.Errorf("%w: %d records to go", rows.ErrRestoring, h.Restoring)
	}
	return nil
}

func (h *Instance) Row(_ context.Context, store string, key []byte) (topology.Raw, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.unready(); err != nil {
		return topology.Raw{}, err
	}
	p := h.Partition(key)
	if !slices.Contains(h.Own, p) {
		return topology.Raw{}, &rows.ElsewhereError{Owner: h.Owner[p], Err: errors.New("not here")}
	}
	for _, r := range h.kept[store] {
		if bytes.Equal(r.Key, key) {
			return r, nil
		}
	}
	return topology.Raw{Position: topology.Position{Topic: "app-" + store + "-table", Partition: p, Offset: 99}}, nil
}

func (h *Instance) Rows(_ context.Context, store string, from, to []byte) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		h.mu.Lock()
		err, rows := h.unready(), slices.Clone(h.kept[store])
		h.mu.Unlock()
		if err != nil {
			yield(topology.Raw{}, err)
			return
		}
		slices.SortFunc(rows, func(a, b topology.Raw) int {
			return bytes.Compare(a.Key, b.Key)
		})
		for _, r := range rows {
			if bytes.Compare(r.Key, from) >= 0 && (to == nil || bytes.Compare(r.Key, to) < 0) && !yield(r, nil) {
				return
			}
		}
	}
}

func (h *Instance) Changes(ctx context.Context, store string) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		for r, err := range h.Rows(ctx, store, nil, nil) {
			if !yield(r, err) || err != nil {
				return
			}
		}
		h.mu.Lock()
		next := h.Next[store]
		h.mu.Unlock()
		for {
			select {
			case r, ok := <-next:
				if !ok || !yield(r, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func (h *Instance) Owners(context.Context, string) ([]string, error) { return h.Owner, nil }
func (h *Instance) Strays(context.Context, string) (bool, error)     { return false, nil }
func (h *Instance) Anywhere(ctx context.Context, store string, key []byte) (topology.Raw, error) {
	return h.Row(ctx, store, key)
}

// Pair returns two instances of one partition each; keys hold which of 8 keys
// are at the second.
func Pair(t testing.TB) (topo *topology.Topology, first, second *Instance) {
	t.Helper()
	topo = Topology(t)
	first, second = New(topo, 0), New(topo, 1)
	for i := range 8 {
		key := fmt.Sprintf("k%d", i)
		at := []*Instance{first, second}[first.Partition([]byte(key))]
		at.Put(t, Greeters.Name, key, fmt.Sprintf(`{"count":%d}`, i))
	}
	server := httptest.NewServer(web.NewHandler(web.Cluster{Here: second, Topology: topo}))
	t.Cleanup(server.Close)
	first.Owner[1] = strings.TrimPrefix(server.URL, "http://")
	return topo, first, second
}
