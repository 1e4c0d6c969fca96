package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// A Level says what a difference means to who deploys it over what has run.
type Level int

const (
	// Safe needs nothing: what was committed and kept goes on being right.
	Safe Level = iota

	// NeedsReset means that the processor refuses to start, or that rows would
	// not be what the new topology makes of the topics: reset the application, its
	// offsets, changelogs and local tables, or give what has changed a new name.
	NeedsReset

	// Breaking means that what lies in topics and tables could not be read, or
	// would be looked for in other partitions.
	Breaking
)

var levels = []string{"safe", "needs reset", "breaking"}

func (l Level) String() string {
	if l < 0 || int(l) >= len(levels) {
		return fmt.Sprintf("level %d", int(l))
	}
	return levels[l]
}

// MarshalText returns what String does.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// A Difference is one between two topologies.
type Difference struct {
	Level Level  `json:"level"`
	What  string `json:"what"` // group, store, topic or sink, with its name
	Text  string `json:"text"` // what has changed, what follows, and what to do
}

// String returns "level  what: text".
func (d Difference) String() string { return fmt.Sprintf("%-11s  %s: %s", d.Level, d.What, d.Text) }

// Diff compares two descriptions, as the MarshalJSON of a Topology makes them: what
// would it mean to run the new topology where the old one has run? The gravest
// differences come first, those of one level by name. Steps that keep nothing and
// codecs' packages are not compared, and functions can't be. It is an error if one
// is no description, or of a version that is not known here.
func Diff(old, new []byte) ([]Difference, error) {
	was, err := parseDescription(old)
	if err != nil {
		return nil, fmt.Errorf("old topology: %w", err)
	}
	is, err := parseDescription(new)
	if err != nil {
		return nil, fmt.Errorf("new topology: %w", err)
	}
	c := newComparison(was, is)
	c.application()
	c.groups()
	c.stores()
	c.globals()
	c.topics()
	slices.SortStableFunc(c.found, func(x, y Difference) int {
		return cmp.Or(cmp.Compare(y.Level, x.Level), cmp.Compare(x.What, y.What))
	})
	return c.found, nil
}

func parseDescription(data []byte) (*description, error) {
	var head struct{ Version *int }
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("it is no JSON description: %w", err)
	}
	switch {
	case head.Version == nil:
		return nil, fmt.Errorf("it is no description of a topology: it has no version")
	case *head.Version > descriptionVersion:
		return nil, fmt.Errorf("it has version %d, and this program knows versions up to %d: build it with a newer tidemark", *head.Version, descriptionVersion)
	case *head.Version < 1:
		return nil, fmt.Errorf("it has version %d, which there never was", *head.Version)
	}
	d := &description{}
	if err := json.Unmarshal(data, d); err != nil {
		return nil, fmt.Errorf("it is no description of a topology: %w", err)
	}
	if d.Application == "" {
		return nil, fmt.Errorf("it is no description of a topology: it names no application")
	}
	return d, nil
}
