//go:build unix

package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSchedule(t *testing.T) {
	o := options{seed: 7, kills: 20, instances: 3, length: 5 * time.Minute, kinds: kinds}
	faults, end := o.schedule()
	again, _ := o.schedule()
	if diff := cmp.Diff(faults, again, cmp.AllowUnexported(fault{}, kind{})); diff != "" {
		t.Errorf("the same seed gave other faults:\n%s", diff)
	}
	made, killed := map[string]int{}, 0
	for i, f := range faults {
		made[f.name]++
		if f.kills() {
			killed++
		}
		if i > 0 && f.at < faults[i-1].at || f.at+f.down+f.life > end {
			t.Errorf("fault %d (%s at %v, over at %v) is out of order or after %v", i, f.name, f.at, f.at+f.down+f.life, end)
		}
	}
	if killed != o.kills {
		t.Errorf("%d kills, want %d", killed, o.kills)
	}
	for _, k := range kinds {
		if made[k.name] == 0 {
			t.Errorf("no %s", k.name)
		}
	}
}

func TestChooseKinds(t *testing.T) {
	chosen, err := chooseKinds("kill:3,flush")
	if err != nil || len(chosen) != 2 || chosen[0].weight != 3 || chosen[1].name != "flush" {
		t.Errorf("got %v, %v", chosen, err)
	}
	for _, text := range []string{"", "rain", "kill:0", "kill:many"} {
		if _, err := chooseKinds(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
