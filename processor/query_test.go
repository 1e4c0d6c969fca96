package processor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/internal/web"
	"github.com/tidemark-dev/tidemark/internal/web/webtest"
	"github.com/tidemark-dev/tidemark/topology"
)

func TestGet(t *testing.T) {
	topo, first, _ := webtest.Pair(t)
	view := newView(web.Cluster{Here: first, Topology: topo}, webtest.Greeters)
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
	topo, first, _ := webtest.Pair(t)
	view := newView(web.Cluster{Here: first, Topology: topo}, webtest.Greeters)
	for name, c := range map[string]struct {
		rows iter.Seq2[topology.Record[string, webtest.Greeting], error]
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
	topo, first, second := webtest.Pair(t)
	first.Next[webtest.Greeters.Name], second.Next[webtest.Greeters.Name] = make(chan topology.Raw), make(chan topology.Raw)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rows, deleted := map[string]bool{}, 0
	for r, err := range newView(web.Cluster{Here: first, Topology: topo}, webtest.Greeters).Watch(ctx) {
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
				first.Next[webtest.Greeters.Name] <- topology.Raw{Key: []byte("k1"), Position: topology.Position{Partition: 0}}
				second.Next[webtest.Greeters.Name] <- topology.Raw{Key: []byte("k2"), Position: topology.Position{Partition: 1}}
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
	topo, first, second := webtest.Pair(t)
	second.Next[webtest.Greeters.Name] = make(chan topology.Raw)
	n := 0
	var last error
	for _, err := range newView(web.Cluster{Here: first, Topology: topo}, webtest.Greeters).Watch(t.Context()) {
		if last = err; err == nil {
			if n++; n == 8 {
				close(second.Next[webtest.Greeters.Name])
			}
		}
	}
	if e, ok := errors.AsType[*ElsewhereError](last); !ok || e.Owner != first.Owner[1] {
		t.Errorf("got %v, want that the other instance has stopped", last)
	}
}

// Absent, not here and not yet are three answers.
func TestUnknown(t *testing.T) {
	topo, first, second := webtest.Pair(t)
	view := newView(web.Cluster{Here: first, Topology: topo}, webtest.Greeters)
	elsewhere := "k0"
	for i := range 8 {
		if key := fmt.Sprintf("k%d", i); first.Partition([]byte(key)) == 1 {
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

	second.Restoring = 12
	check("restoring", func(err error) bool {
		return errors.Is(err, ErrRestoring) && strings.Contains(err.Error(), "12 records to go")
	})
	second.Restoring = 0

	second.Own = nil
	check("moving", at(first.Owner[1]))
	second.Own = []int32{1}

	address := first.Owner[1]
	first.Owner[1] = "localhost:1"
	check("out of reach", at("localhost:1"))
	first.Owner[1] = ""
	check("silent", at(""))
	first.Owner[1] = address

	other := topology.Store[int64, webtest.Greeting]{Name: webtest.Greeters.Name}
	if _, _, err := newView(web.Cluster{Here: first, Topology: topo}, other).Get(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "greeters") {
		t.Errorf("a store of other types: got %v", err)
	}
	missing := topology.Store[string, webtest.Greeting]{Name: "missing"}
	for _, err := range newView(web.Cluster{Here: first, Topology: topo}, missing).All(t.Context()) {
		if err == nil || !strings.Contains(err.Error(), "missing") {
			t.Errorf("a store that is not there: got %v", err)
		}
	}
}
