//go:build unix

package main

import (
	"encoding/json"
	"strconv"
	"testing"
)

func TestOutcomeFollowsFromJournal(t *testing.T) {
	j := journal{records: 5000, keys: 700, partitions: 4}
	last, times := map[string][]byte{}, map[string]uint64{}
	for key, v := range j.all() {
		last[key] = v
		times[key]++
		var s state
		if err := json.Unmarshal(v, &s); err != nil || len(v) != 90 || s.State != "HAPPY" {
			t.Fatalf("%s is %d bytes, %+v, %v", v, len(v), s, err)
		}
	}
	hellos, counts := j.outcome(hello), j.outcome(count)
	for key := range j.keys {
		name := keyName(key)
		if got, want := string(hellos.want(key)), string(last[name]); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if got := counts.want(key); got != nil && string(got) != strconv.FormatUint(times[name], 10) || got == nil && times[name] > 0 {
			t.Errorf("%s: count %s, want %d", name, got, times[name])
		}
	}
}

func TestChoose(t *testing.T) {
	for patterns, want := range map[string]int{"hello": 1, "hello,count-1m": 2, "goka-*": 5, "windowed,joined,repartition": 3, "*": len(measures)} {
		chosen, err := choose(patterns)
		if err != nil || len(chosen) != want {
			t.Errorf("%q: %d measures, want %d (%v)", patterns, len(chosen), want, err)
		}
	}
	for _, m := range measures {
		for _, peer := range []string{m.floor, m.goka} {
			if peer == "" {
				continue
			}
			if _, err := choose(peer); err != nil {
				t.Errorf("%s: %v", m.name, err)
			}
		}
	}
	if _, err := choose("nothing"); err == nil {
		t.Error("a name without a measure was taken")
	}
}
