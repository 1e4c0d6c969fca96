package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
)

// tell prints the verdict. A difference is an error.
func (d *demo) tell(v verdict) error {
	var err error
	if d.settings.output == "json" || d.settings.logFormat == "json" {
		err = d.tellPrograms(v)
	} else {
		err = d.tellPeople(v)
	}
	if err == nil && !v.agrees() {
		err = &failure{exitDiffers, errors.New("journal, tables and sinks differ")}
	}
	return err
}

// agrees reports whether all is right. Others may have sent, and processed, a part;
// more than there is means twice.
func (v verdict) agrees() bool {
	agree := v.left == 0 && v.sent <= v.journal && (v.due < 0 || v.done <= v.due)
	for _, c := range v.comparisons {
		agree = agree && c.agrees()
	}
	return agree
}

func (d *demo) tellPeople(v verdict) error {
	fmt.Fprintf(d.stdout, "%s acknowledged, %s in the journal, %s processed here", counted(v.sent, "record", "records"), grouped(v.journal), grouped(v.done))
	if v.left > 0 {
		fmt.Fprintf(d.stdout, ", %s left", grouped(v.left))
	}
	fmt.Fprint(d.stdout, "\n\n")
	t := tabwriter.NewWriter(d.stdout, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "right\twrong\tmissing\textra\t")
	asItIs := false
	for _, c := range v.comparisons {
		note := ""
		switch {
		case c.keysOnly:
			note = " (keys only)"
		case c.notReplayed:
			note = " (taken as it is)"
			asItIs = true
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s%s\n", grouped(int64(c.right)), grouped(int64(c.wrong)), grouped(int64(c.missing)), grouped(int64(c.extra)), "  "+c.place, note)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if asItIs {
		fmt.Fprintln(d.stdout, "\nA table is taken as it is, and only its sinks compared with it, if its rows depend on more\nthan one topic, on one that the program writes, or on the time of day.")
	}
	if v.agrees() {
		_, err := fmt.Fprintln(d.stdout, "\nJournal, tables and sinks agree.")
		return err
	}
	for _, c := range v.comparisons {
		if c.example != "" {
			fmt.Fprintf(d.stdout, "%s: %s\n", c.place, c.example)
		}
	}
	return nil
}

// tellPrograms writes the verdict as a line of JSON.
func (d *demo) tellPrograms(v verdict) error {
	type place struct {
		Place       string `json:"place"`
		Right       int    `json:"right"`
		Wrong       int    `json:"wrong"`
		Missing     int    `json:"missing"`
		Extra       int    `json:"extra"`
		KeysOnly    bool   `json:"keys_only,omitempty"`
		NotReplayed bool   `json:"taken_as_it_is,omitempty"`
		Example     string `json:"example,omitempty"` // of what is not right
	}
	places := []place{}
	for _, c := range v.comparisons {
		places = append(places, place{c.place, c.right, c.wrong, c.missing, c.extra, c.keysOnly, c.notReplayed, c.example})
	}
	return json.NewEncoder(d.stdout).Encode(struct {
		Agree     bool    `json:"agree"`
		Sent      int64   `json:"acknowledged"`
		Journal   int64   `json:"journal"`
		Processed int64   `json:"processed"`
		Left      int64   `json:"left"`
		Places    []place `json:"places"`
	}{v.agrees(), v.sent, v.journal, v.done, v.left, places})
}
