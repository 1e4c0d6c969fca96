package processor

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

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

type greeting struct {
	Count int64 `json:"count"`
}

var (
	greetings = topology.Topic[string, greeting]{Name: "greetings", Key: codec.String{}, Value: codec.JSON[greeting]{}}
	greeters  = topology.Store[string, greeting]{Name: "greeters"}
	numbers   = topology.Topic[int64, string]{Name: "numbers", Key: codec.Int64{}, Value: codec.String{}}
	numerals  = topology.Store[int64, string]{Name: "numerals"}
)

func queryTopology(t *testing.T) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder("app")
	topology.Materialize(b, greetings, greeters)
	topology.Materialize(b, numbers, numerals)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// held is an instance whose rows are in memory.
type held struct {
	topology *topology.Topology

	mu        sync.Mutex
	state     State
	restoring int64
	owner     []string // of each partition; "" for this instance
	own       []int32
	kept      map[string][]topology.Raw // by store
	next      map[string]chan topology.Raw
}

func newHeld(topo *topology.Topology, own ...int32) *held {
	return &held{
		topology: topo, state: Running, owner: make([]string, 2), own: own,
		kept: map[string][]topology.Raw{}, next: map[string]chan topology.Raw{},
	}
}

// put keeps a row; its offset is the number of rows before.
func (h *held) put(t *testing.T, store, key, value string) {
	t.Helper()
	r, err := h.topology.Parse(store, key, []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	r.Position = topology.Position{Topic: "app-" + store + "-table", Partition: h.partition(r.Key), Offset: int64(len(h.kept[store]))}
	r.Time = time.UnixMilli(int64(len(h.kept[store]))).UTC()
	h.kept[store] = append(h.kept[store], r)
}

func (h *held) partition(key []byte) int32 { return topology.Partition(key, int32(len(h.owner))) }

func (h *held) status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Status{Application: "app", Instance: "one", State: h.state, Counts: Counts{Records: 7}}
	for _, store := range h.topology.Stores() {
		for _, p := range h.own {
			s.Tasks = append(s.Tasks, TaskStatus{Group: "app-" + store, Table: store, Partition: p, State: h.state, Restore: h.restoring})
		}
	}
	return s
}

func (h *held) Status() any       { return h.status() }
func (h *held) Health() health    { return h.status().health() }
func (h *held) Metrics() []metric { return h.status().metrics() }
func (h *held) Tables() []table   { return h.status().tables(h.topology) }

func (h *held) unready() error {
	if h.restoring > 0 {
		return fmt.Errorf("%w: %d records to go", ErrRestoring, h.restoring)
	}
	return nil
}

func (h *held) Row(_ context.Context, store string, key []byte) (topology.Raw, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.unready(); err != nil {
		return topology.Raw{}, err
	}
	p := h.partition(key)
	if !slices.Contains(h.own, p) {
		return topology.Raw{}, &ElsewhereError{Owner: h.owner[p], Err: errors.New("not here")}
	}
	for _, r := range h.kept[store] {
		if bytes.Equal(r.Key, key) {
			return r, nil
		}
	}
	return topology.Raw{Position: topology.Position{Topic: "app-" + store + "-table", Partition: p, Offset: 99}}, nil
}

func (h *held) Rows(_ context.Context, store string, from, to []byte) iter.Seq2[topology.Raw, error] {
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

func (h *held) Changes(ctx context.Context, store string) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		for r, err := range h.Rows(ctx, store, nil, nil) {
			if !yield(r, err) || err != nil {
				return
			}
		}
		h.mu.Lock()
		next := h.next[store]
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

func (h *held) Owners(context.Context, string) ([]string, error) { return h.owner, nil }
func (h *held) Strays(context.Context, string) (bool, error)     { return false, nil }
func (h *held) Anywhere(ctx context.Context, store string, key []byte) (topology.Raw, error) {
	return h.Row(ctx, store, key)
}

// pair returns two instances of one partition each; keys hold which of 8 keys
// are at the second.
func pair(t *testing.T) (topo *topology.Topology, first, second *held) {
	t.Helper()
	topo = queryTopology(t)
	first, second = newHeld(topo, 0), newHeld(topo, 1)
	for i := range 8 {
		key := fmt.Sprintf("k%d", i)
		at := []*held{first, second}[first.partition([]byte(key))]
		at.put(t, greeters.Name, key, fmt.Sprintf(`{"count":%d}`, i))
	}
	server := httptest.NewServer(newHandler(cluster{second, topo}))
	t.Cleanup(server.Close)
	first.owner[1] = strings.TrimPrefix(server.URL, "http://")
	return topo, first, second
}

func TestGet(t *testing.T) {
	topo, first, _ := pair(t)
	view := newView(cluster{first, topo}, greeters)
	partitions := map[int32]int{}
	for i := range 8 {
		r, ok, err := view.Get(t.Context(), fmt.Sprintf("k%d", i))
		if err != nil || !ok || r.Value.Count != int64(i) || r.Topic != "app-greeters-table" {
			t.Errorf("k%d: got %v, %v, %v", i, r, ok, err)
		}
		partitions[r.Partition]++
	}
	if len(partitions) != 2 {
		t.Errorf("all keys are in one partition: %v", partitions)
	}
	for _, key := range []string{"x0", "x1", "x2", "x3"} {
		if r, ok, err := view.Get(t.Context(), key); ok || err != nil || r.Offset != 99 || r.Key != key {
			t.Errorf("%s: got %v, %v, %v, want no row, current up to 99", key, r, ok, err)
		}
	}
}

func TestRange(t *testing.T) {
	topo, first, _ := pair(t)
	view := newView(cluster{first, topo}, greeters)
	for name, c := range map[string]struct {
		rows iter.Seq2[topology.Record[string, greeting], error]
		want []string
	}{
		"all":   {view.All(t.Context()), []string{"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"}},
		"range": {view.Range(t.Context(), "k2", "k5"), []string{"k2", "k3", "k4"}},
		"none":  {view.Range(t.Context(), "k2", ""), nil},
	} {
		var got []string
		for r, err := range c.rows {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if want := fmt.Sprintf("k%d", r.Value.Count); r.Key != want {
				t.Errorf("%s: %s has the value of %s", name, r.Key, want)
			}
			got = append(got, r.Key)
		}
		slices.Sort(got)
		if diff := gocmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestWatch(t *testing.T) {
	topo, first, second := pair(t)
	first.next[greeters.Name], second.next[greeters.Name] = make(chan topology.Raw), make(chan topology.Raw)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rows, deleted := map[string]bool{}, 0
	for r, err := range newView(cluster{first, topo}, greeters).Watch(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Value != nil {
			rows[r.Key] = true
		} else {
			delete(rows, r.Key)
			deleted++
		}
		switch {
		case len(rows) == 8: // each instance deletes one
			go func() {
				first.next[greeters.Name] <- topology.Raw{Key: []byte("k1"), Position: topology.Position{Partition: 0}}
				second.next[greeters.Name] <- topology.Raw{Key: []byte("k2"), Position: topology.Position{Partition: 1}}
			}()
		case deleted == 2:
			cancel()
		}
	}
	if len(rows) != 6 || rows["k1"] || rows["k2"] {
		t.Errorf("got %v, want all but k1 and k2", rows)
	}
}

func TestWatchEndsWithAnInstance(t *testing.T) {
	topo, first, second := pair(t)
	second.next[greeters.Name] = make(chan topology.Raw)
	n := 0
	var last error
	for _, err := range newView(cluster{first, topo}, greeters).Watch(t.Context()) {
		if last = err; err == nil {
			if n++; n == 8 {
				close(second.next[greeters.Name])
			}
		}
	}
	if e, ok := errors.AsType[*ElsewhereError](last); !ok || e.Owner != first.owner[1] {
		t.Errorf("got %v, want that the other instance has stopped", last)
	}
}

// Absent, not here and not yet are three answers.
func TestUnknown(t *testing.T) {
	topo, first, second := pair(t)
	view := newView(cluster{first, topo}, greeters)
	elsewhere := "k0"
	for i := range 8 {
		if key := fmt.Sprintf("k%d", i); first.partition([]byte(key)) == 1 {
			elsewhere = key
		}
	}
	check := func(name string, is func(error) bool) {
		t.Helper()
		if _, ok, err := view.Get(t.Context(), elsewhere); ok || !is(err) {
			t.Errorf("%s: Get: got %v, %v", name, ok, err)
		}
		var last error
		for _, err := range view.All(t.Context()) {
			last = err
		}
		if !is(last) {
			t.Errorf("%s: All: got %v", name, last)
		}
		last = nil
		for _, err := range view.Watch(t.Context()) {
			last = err
		}
		if !is(last) {
			t.Errorf("%s: Watch: got %v", name, last)
		}
	}
	at := func(owner string) func(error) bool {
		return func(err error) bool {
			e, ok := errors.AsType[*ElsewhereError](err)
			return ok && e.Owner == owner
		}
	}

	second.restoring = 12
	check("restoring", func(err error) bool {
		return errors.Is(err, ErrRestoring) && strings.Contains(err.Error(), "12 records to go")
	})
	second.restoring = 0

	second.own = nil
	check("moving", at(first.owner[1]))
	second.own = []int32{1}

	address := first.owner[1]
	first.owner[1] = "localhost:1"
	check("out of reach", at("localhost:1"))
	first.owner[1] = ""
	check("silent", at(""))
	first.owner[1] = address

	other := topology.Store[int64, greeting]{Name: greeters.Name}
	if _, _, err := newView(cluster{first, topo}, other).Get(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "greeters") {
		t.Errorf("a store of other types: got %v", err)
	}
	missing := topology.Store[string, greeting]{Name: "missing"}
	for _, err := range newView(cluster{first, topo}, missing).All(t.Context()) {
		if err == nil || !strings.Contains(err.Error(), "missing") {
			t.Errorf("a store that is not there: got %v", err)
		}
	}
}
