//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A result is what a run has found.
type result struct {
	Run     string         `json:"run"`
	Seed    uint64         `json:"seed"`
	Records int            `json:"records"` // committed in the journals
	Unknown int64          `json:"unknown"` // sent while a broker died, in the journals or not
	Odd     int            `json:"odd"`     // odd records in their journals
	Refused int            `json:"refused"` // of them, as their journal's policy says
	Faults  map[string]int `json:"faults"`

	Standstill        standstill `json:"standstill"`         // the longest of a partition with records to process
	JournalStandstill standstill `json:"journal_standstill"` // the longest in which a plain reader had none
	NotMade           []string   `json:"not_made,omitempty"` // kinds for which a script was missing
	Lives             int        `json:"lives"`              // processes started
	Exits             []string   `json:"exits,omitempty"`    // processes that ended otherwise than they were told
	Places            []verdict  `json:"places"`
	StepsBack         int        `json:"steps_back"`
	Back              []stepBack `json:"back,omitempty"`
	Watched           int        `json:"rows_watched"`
	Late              int64      `json:"late_bytes"` // came to Redis after their sender was cut off
	Seconds           float64    `json:"seconds"`
	DrainSeconds      float64    `json:"drain_seconds"` // after the last record and fault
	StopSeconds       float64    `json:"stop_seconds"`
	Dir               string     `json:"-"`
}

// sum returns what all places together have lost, doubled and got wrong.
func (r *result) sum() (lost, doubled, wrong int64) {
	for _, v := range r.Places {
		lost, doubled, wrong = lost+v.Lost, doubled+v.Doubled, wrong+v.Wrong
	}
	return lost, doubled, wrong
}

// bad tells whether a promise was broken, or a process ended otherwise than it
// was told.
func (r *result) bad() bool {
	lost, doubled, wrong := r.sum()
	return lost != 0 || doubled != 0 || wrong != 0 || r.StepsBack != 0 || len(r.Exits) > 0
}

func (r *result) print(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	for _, v := range r.Places {
		for _, example := range v.Examples {
			fmt.Fprintf(w, "%s: %s\n", v.Place, example)
		}
	}
	for _, exit := range r.Exits {
		fmt.Fprintf(w, "exit: %s\n", exit)
	}
	var made []string
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		made = append(made, fmt.Sprintf("%s %d", name, r.Faults[name]))
	}
	if len(r.NotMade) > 0 {
		made = append(made, "no "+strings.Join(r.NotMade, ", no "))
	}
	lost, doubled, wrong := r.sum()
	_, err := fmt.Fprintf(w, "seed %d: %d records, %d kills (%s), %d lives, %d exits, drained in %.1f s: lost %d, doubled %d, wrong %d, steps back %d\n",
		r.Seed, r.Records, r.Faults["kill"]+r.Faults["wipe"], strings.Join(made, ", "), r.Lives, len(r.Exits), r.DrainSeconds,
		lost, doubled, wrong, r.StepsBack)
	if err == nil {
		_, err = fmt.Fprintf(w, "odd records %d, refused %d; longest standstill of a partition %v, of its journal for a plain reader %v\n",
			r.Odd, r.Refused, r.Standstill, r.JournalStandstill)
	}
	return err
}
