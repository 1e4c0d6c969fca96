//go:build unix

package main

import (
	"testing"

	"github.com/tidemark-dev/tidemark/topology"
)

// Each odd record is accounted for: by its row, or as its journal's policy says.
func TestCompareOdd(t *testing.T) {
	at := topology.Position{Topic: "journal", Offset: 7}
	letter := map[topology.Position]bool{at: true}
	odd := fate{position: at, key: "k", row: 1}
	fine, bad, gone := odd, odd, odd
	fine.fine, bad.bad, gone.gone = true, true, true
	row := map[string]uint64{"k": 1}
	for name, c := range map[string]struct {
		oddity
		fate
		rows                          map[string]uint64
		letters                       map[topology.Position]bool
		lost, doubled, wrong, refused int
	}{
		"a row":                      {oddities[0], odd, row, nil, 0, 0, 0, 0},
		"a letter":                   {oddities[0], odd, nil, letter, 0, 0, 0, 1},
		"neither":                    {oddities[0], odd, nil, nil, 1, 0, 0, 1},
		"both":                       {oddities[0], odd, row, letter, 0, 1, 0, 1},
		"another row":                {oddities[0], odd, map[string]uint64{"k": 2}, nil, 0, 0, 1, 0},
		"a row of nothing":           {oddities[0], fine, map[string]uint64{"k": 1, "j": 1}, nil, 0, 0, 1, 0},
		"a fine record as a letter":  {oddities[0], fine, nil, letter, 0, 0, 1, 1},
		"a fine record that is lost": {oddities[1], fine, nil, nil, 1, 0, 0, 1},
		"skipped":                    {oddities[1], odd, nil, nil, 0, 0, 0, 1},
		"garbage in the table":       {oddities[1], bad, row, nil, 0, 0, 1, 0},
		"deleted":                    {oddities[1], gone, nil, nil, 0, 0, 0, 0},
		"not deleted":                {oddities[1], gone, row, nil, 0, 0, 1, 0},
	} {
		v, refused := c.compare("table", []fate{c.fate}, c.rows, c.letters)
		if int(v.Lost) != c.lost || int(v.Doubled) != c.doubled || int(v.Wrong) != c.wrong || refused != c.refused {
			t.Errorf("%s: lost %d, doubled %d, wrong %d, refused %d, want %d, %d, %d, %d", name,
				v.Lost, v.Doubled, v.Wrong, refused, c.lost, c.doubled, c.wrong, c.refused)
		}
	}
}
