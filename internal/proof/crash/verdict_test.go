//go:build unix

package main

import "testing"

func TestCompare(t *testing.T) {
	hello, count := workloads[0], workloads[1]
	for name, c := range map[string]struct {
		workload
		want, got            rows
		lost, doubled, wrong int64
	}{
		"equal":               {hello, rows{"a": 3}, rows{"a": 3}, 0, 0, 0},
		"too old":             {hello, rows{"a": 3}, rows{"a": 2}, 1, 0, 0},
		"missing":             {hello, rows{"a": 3}, rows{}, 1, 0, 0},
		"from nowhere":        {hello, rows{"a": 3}, rows{"a": 4}, 0, 0, 1},
		"a lost tombstone":    {hello, rows{}, rows{"a": 3}, 1, 0, 0},
		"count too low":       {count, rows{"a": 9}, rows{"a": 4}, 5, 0, 0},
		"count too high":      {count, rows{"a": 9}, rows{"a": 11}, 0, 2, 0},
		"a key never counted": {count, rows{"a": 9}, rows{}, 9, 0, 0},
	} {
		v := c.compare("test", c.want, c.got)
		if v.Lost != c.lost || v.Doubled != c.doubled || v.Wrong != c.wrong {
			t.Errorf("%s: lost %d, doubled %d, wrong %d, want %d, %d, %d", name, v.Lost, v.Doubled, v.Wrong, c.lost, c.doubled, c.wrong)
		}
	}
}
