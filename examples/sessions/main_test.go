package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

func Test(t *testing.T) {
	topo, err := build()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, topo, 1)
	eight := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	click := func(minute int, who, country string) {
		d.At(eight.Add(time.Duration(minute) * time.Minute))
		topologytest.Send(d, clicks, who, Click{country})
	}
	topologytest.Send(d, countries, "nz", "Aotearoa")
	click(0, "ann", "nz")
	click(34, "ann", "nz")
	click(17, "ann", "nz") // connects them, though it comes late
	click(36, "bob", "xx")
	d.Restart()
	if got := topologytest.Received(d, visits); len(got) != 0 {
		t.Errorf("%v before any is over", got)
	}
	click(300, "eve", "nz")

	got := map[string]Visit{}
	for _, r := range topologytest.Received(d, visits) {
		got[r.Key] = *r.Value
	}
	want := map[string]Visit{"ann": {3, "Aotearoa"}, "bob": {1, "xx"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
