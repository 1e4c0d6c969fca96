package plan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
)

// descriptionVersion is that of the format. It changes when a reader of the
// older one would be misled, not when something is added.
const descriptionVersion = 1

// A description is a plan as MarshalJSON writes it, see docs/topology-json.md.
// Every list is sorted.
type description struct {
	Version     int                 `json:"version"`
	Application string              `json:"application"`
	Groups      []groupDescription  `json:"groups"`
	Stores      []storeDescription  `json:"stores"`
	Globals     []globalDescription `json:"globals"`
	Topics      []topicDescription  `json:"topics"`
}

type groupDescription struct {
	Name    string            `json:"name"`
	Inputs  []string          `json:"inputs"`
	Outputs []string          `json:"outputs"`
	Stores  []string          `json:"stores"`
	Globals []string          `json:"globals"` // by store
	Steps   []stepDescription `json:"steps"`
}

type stepDescription struct {
	Name string   `json:"name"`
	Kind string   `json:"kind"`
	Ups  []string `json:"ups"` // what leads to it: steps, topics, global tables
}

type storeDescription struct {
	Name        string   `json:"name"`
	Changelog   string   `json:"changelog"`
	Group       string   `json:"group"`
	KeptBy      []string `json:"keptBy"`  // kinds of steps
	Sources     []string `json:"sources"` // topics that its rows are made from
	Table       bool     `json:"table"`   // else a step keeps it for itself
	Key         string   `json:"key,omitempty"`
	Value       string   `json:"value,omitempty"`
	Windows     string   `json:"windows,omitempty"`
	Grace       string   `json:"grace,omitempty"`
	TTL         string   `json:"ttl,omitempty"`
	EveryChange bool     `json:"everyChange"`
	Sinks       []string `json:"sinks"`
}

type globalDescription struct {
	Store string `json:"store"`
	Topic string `json:"topic"`
	Key   string `json:"key"`
	Value string `json:"value"`
}

type topicDescription struct {
	Name        string       `json:"name"`
	Key         string       `json:"key"`
	Value       string       `json:"value"`
	Read        bool         `json:"read"`
	Published   bool         `json:"published"`
	Repartition *Repartition `json:"repartition,omitempty"`
}

// MarshalJSON describes the plan: groups with their steps, stores, global tables
// and topics, with codecs by name. It is stable and sorted, whatever the order of
// the declaration; only the numbers of steps without a name follow it. [Diff]
// compares two of them.
func (p *Plan) MarshalJSON() ([]byte, error) {
	var data bytes.Buffer
	out := json.NewEncoder(&data)
	out.SetEscapeHTML(false)
	err := out.Encode(p.describe())
	return data.Bytes(), err
}

func (p *Plan) describe() *description {
	d := &description{
		Version: descriptionVersion, Application: p.Application,
		Groups: []groupDescription{}, Stores: []storeDescription{}, Globals: []globalDescription{}, Topics: []topicDescription{},
	}
	read, published := map[string]bool{}, map[string]bool{}
	for i := range p.Groups {
		g := &p.Groups[i]
		d.Groups = append(d.Groups, g.describe())
		for i := range g.Stores {
			d.Stores = append(d.Stores, g.describeStore(&g.Stores[i]))
		}
		for _, topic := range g.Inputs {
			read[topic] = true
		}
		for _, topic := range g.Outputs {
			published[topic] = true
		}
	}
	for _, g := range p.Globals {
		read[g.Topic] = true
		d.Globals = append(d.Globals, globalDescription(g))
	}
	for _, t := range p.Topics {
		d.Topics = append(d.Topics, topicDescription{
			Name: t.Name, Key: t.Key, Value: t.Value, Read: read[t.Name], Published: published[t.Name], Repartition: t.Repartition,
		})
	}
	slices.SortFunc(d.Groups, func(x, y groupDescription) int { return cmp.Compare(x.Name, y.Name) })
	slices.SortFunc(d.Stores, func(x, y storeDescription) int { return cmp.Compare(x.Name, y.Name) })
	return d
}

func (g *Group) describe() groupDescription {
	d := groupDescription{
		Name: g.Name, Inputs: clone(g.Inputs), Outputs: clone(g.Outputs), Stores: []string{}, Globals: clone(g.Globals), Steps: []stepDescription{},
	}
	for i := range g.Stores {
		d.Stores = append(d.Stores, g.Stores[i].Name)
	}
	slices.Sort(d.Stores)
	steps := map[string]*stepDescription{}
	for i := range g.Steps {
		n := &g.Steps[i]
		if n.Kind == KindTopic || n.Kind == KindGlobal {
			continue
		}
		s := steps[n.Name] // a topic may be published to by several
		if s == nil {
			s = &stepDescription{Name: n.Name, Kind: string(n.Kind)}
			steps[n.Name] = s
		}
		for _, up := range n.Ups {
			s.Ups = append(s.Ups, g.Steps[up].Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		steps[name].Ups = set(steps[name].Ups)
		d.Steps = append(d.Steps, *steps[name])
	}
	return d
}

func (g *Group) describeStore(s *Store) storeDescription {
	d := storeDescription{
		Name: s.Name, Changelog: s.Changelog, Group: g.Name, Table: s.Table, EveryChange: s.EveryChange, Sinks: clone(s.Sinks),
		Key: s.Key, Value: s.Value, Windows: s.Windows, Grace: s.Grace, TTL: s.TTL,
	}
	for i := range g.Steps {
		if n := &g.Steps[i]; slices.Contains(n.Stores, s.Name) {
			d.KeptBy = append(d.KeptBy, string(n.Kind))
			d.Sources = append(d.Sources, g.sources(i)...)
			if s.Table {
				break // others only read it
			}
		}
	}
	d.KeptBy, d.Sources = set(d.KeptBy), set(d.Sources)
	slices.Sort(d.Sinks)
	return d
}

// set sorts names and drops those that repeat.
func set(names []string) []string {
	slices.Sort(names)
	return append([]string{}, slices.Compact(names)...)
}

func clone(names []string) []string { return append([]string{}, names...) }
