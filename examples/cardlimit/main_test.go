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
	d := topologytest.New(t, topo, 4)
	eight := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	pay := func(card string, cents int64, after time.Duration) {
		topologytest.Send(d, payments, card, Payment{cents, eight.Add(after)})
	}
	d.Advance(time.Since(time.Unix(0, 0))) // MaxAhead looks at the time of day
	topologytest.Send(d, limits, "card-1", 10_000)
	pay("card-1", 6_000, 0)
	pay("card-2", 20_000, 0) // has no limit
	d.Restart()
	pay("card-1", 6_000, 50*time.Minute)
	pay("card-1", 1, 59*time.Minute)     // the alert was raised
	pay("card-1", 6_000, 61*time.Minute) // another hour
	pay("card-1", 4_001, 62*time.Minute)

	var got []Alert
	for _, r := range topologytest.Received(d, alerts) {
		if r.Key != "card-1" {
			t.Errorf("an alert of %s", r.Key)
		}
		got = append(got, *r.Value)
	}
	want := []Alert{{eight, 12_000, 10_000}, {eight.Add(time.Hour), 10_001, 10_000}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
