//go:build unix

package main

import "testing"

func TestCompareCounts(t *testing.T) {
	for name, c := range map[string]struct {
		want, got            map[string]int64
		lost, doubled, wrong int64
	}{
		"equal":        {map[string]int64{"a": 3}, map[string]int64{"a": 3}, 0, 0, 0},
		"too low":      {map[string]int64{"a": 3}, map[string]int64{"a": 1}, 2, 0, 0},
		"missing":      {map[string]int64{"a": 3}, nil, 3, 0, 0},
		"too high":     {map[string]int64{"a": 3}, map[string]int64{"a": 5}, 0, 2, 0},
		"from nowhere": {nil, map[string]int64{"a": 5}, 0, 0, 1},
	} {
		if v := compareCounts("test", c.want, c.got); v.Lost != c.lost || v.Doubled != c.doubled || v.Wrong != c.wrong {
			t.Errorf("%s: lost %d, doubled %d, wrong %d, want %d, %d, %d", name, v.Lost, v.Doubled, v.Wrong, c.lost, c.doubled, c.wrong)
		}
	}
}

func TestCompareValues(t *testing.T) {
	for name, c := range map[string]struct {
		want, got   map[string]string
		lost, wrong int64
	}{
		"equal":        {map[string]string{"a": "x"}, map[string]string{"a": "x"}, 0, 0},
		"missing":      {map[string]string{"a": "x", "b": ""}, nil, 2, 0},
		"another":      {map[string]string{"a": "x"}, map[string]string{"a": "y"}, 0, 1},
		"from nowhere": {nil, map[string]string{"a": ""}, 0, 1},
	} {
		if v := compareValues("test", c.want, c.got); v.Lost != c.lost || v.Wrong != c.wrong || v.Doubled != 0 {
			t.Errorf("%s: lost %d, doubled %d, wrong %d, want %d, 0, %d", name, v.Lost, v.Doubled, v.Wrong, c.lost, c.wrong)
		}
	}
}

func TestCompareRecords(t *testing.T) {
	type records = map[string]map[int]int
	for name, c := range map[string]struct {
		want, got            records
		lost, doubled, wrong int64
	}{
		"equal":        {records{"a": {1: 2, 5: 1}}, records{"a": {1: 2, 5: 1}}, 0, 0, 0},
		"missing":      {records{"a": {1: 2}}, records{}, 2, 0, 0},
		"twice":        {records{"a": {1: 1, 2: 1}}, records{"a": {1: 3, 2: 1}}, 0, 2, 0},
		"from nowhere": {records{"a": {1: 1}}, records{"a": {1: 1, 2: 1}, "b": {1: 1}}, 0, 0, 2},
	} {
		if v := compareRecords("test", c.want, c.got); v.Lost != c.lost || v.Doubled != c.doubled || v.Wrong != c.wrong {
			t.Errorf("%s: lost %d, doubled %d, wrong %d, want %d, %d, %d", name, v.Lost, v.Doubled, v.Wrong, c.lost, c.doubled, c.wrong)
		}
	}
}
