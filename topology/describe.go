package topology

import (
	"bytes"
	"cmp"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// descriptionVersion is that of the format. It changes when a reader of the
// older one would be misled, not when something is added.
const descriptionVersion = 1

// A description is a topology as MarshalJSON writes it, see docs/topology-json.md.
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
	Name        string                  `json:"name"`
	Key         string                  `json:"key"`
	Value       string                  `json:"value"`
	Read        bool                    `json:"read"`
	Published   bool                    `json:"published"`
	Repartition *repartitionDescription `json:"repartition,omitempty"`
}

type repartitionDescription struct {
	Partitions int32 `json:"partitions"` // 0 for as many as its readers need
}

// MarshalJSON describes the topology: groups with their steps, stores, global
// tables and topics, with codecs by name. It is stable and sorted, whatever the
// order of the declaration; only the numbers of steps without a name follow it.
// [Diff] compares two of them.
func (t *Topology) MarshalJSON() ([]byte, error) {
	var data bytes.Buffer
	out := json.NewEncoder(&data)
	out.SetEscapeHTML(false)
	err := out.Encode(t.describe())
	return data.Bytes(), err
}

func (t *Topology) describe() *description {
	d := &description{
		Version: descriptionVersion, Application: t.application,
		Groups: []groupDescription{}, Stores: []storeDescription{}, Globals: []globalDescription{}, Topics: []topicDescription{},
	}
	read, published := map[string]bool{}, map[string]bool{}
	for _, g := range t.groups {
		d.Groups = append(d.Groups, g.describe())
		for i := range g.Stores {
			d.Stores = append(d.Stores, t.describeStore(g, &g.Stores[i]))
		}
		for _, topic := range g.Inputs {
			read[topic] = true
		}
		for _, topic := range g.Outputs {
			published[topic] = true
		}
	}
	for _, g := range t.globals {
		x := t.stores[g.Store]
		read[g.Topic] = true
		d.Globals = append(d.Globals, globalDescription{Store: g.Store, Topic: g.Topic, Key: x.key, Value: x.value})
	}
	for _, name := range sorted(t.topics) {
		x := t.topics[name]
		topic := topicDescription{Name: name, Key: x.key, Value: x.value, Read: read[name], Published: published[name]}
		if r, ok := t.repartition(name); ok {
			topic.Repartition = &repartitionDescription{r.Partitions}
		}
		d.Topics = append(d.Topics, topic)
	}
	slices.SortFunc(d.Groups, func(x, y groupDescription) int { return cmp.Compare(x.Name, y.Name) })
	slices.SortFunc(d.Stores, func(x, y storeDescription) int { return cmp.Compare(x.Name, y.Name) })
	return d
}

func (g *Group) describe() groupDescription {
	d := groupDescription{
		Name: g.Name, Inputs: clone(g.Inputs), Outputs: clone(g.Outputs), Stores: []string{}, Globals: []string{}, Steps: []stepDescription{},
	}
	for i := range g.Stores {
		d.Stores = append(d.Stores, g.Stores[i].Name)
	}
	for _, x := range g.Globals {
		d.Globals = append(d.Globals, x.Store)
	}
	slices.Sort(d.Stores)
	steps := map[string]*stepDescription{}
	for _, n := range g.order {
		if n.source {
			continue
		}
		s := steps[n.name] // a topic may be published to by several
		if s == nil {
			s = &stepDescription{Name: n.name, Kind: n.kind()}
			steps[n.name] = s
		}
		for _, up := range n.ups {
			s.Ups = append(s.Ups, up.name)
		}
	}
	for _, name := range sorted(steps) {
		steps[name].Ups = set(steps[name].Ups)
		d.Steps = append(d.Steps, *steps[name])
	}
	return d
}

func (t *Topology) describeStore(g *Group, s *StateStore) storeDescription {
	d := storeDescription{
		Name: s.Name, Changelog: s.Changelog, Group: g.Name, Table: s.Table, EveryChange: s.EveryChange, Sinks: []string{},
	}
	if x, ok := t.stores[s.Name]; ok {
		d.Key, d.Value = x.key, x.value
	}
	for _, n := range g.order {
		if i := slices.IndexFunc(n.stores, func(k *kept) bool { return k.name == s.Name }); i >= 0 {
			k := n.stores[i]
			d.Windows, d.Grace, d.TTL = k.windows, k.grace, k.life
			d.KeptBy = append(d.KeptBy, n.kind())
			d.Sources = append(d.Sources, n.sources()...)
			if s.Table {
				break // others only read it
			}
		}
	}
	for _, sink := range s.Sinks {
		d.Sinks = append(d.Sinks, sink.String())
	}
	d.KeptBy, d.Sources = set(d.KeptBy), set(d.Sources)
	slices.Sort(d.Sinks)
	return d
}

// sources returns the topics whose records come to a step.
func (n *node) sources() (topics []string) {
	for _, up := range n.upTo() {
		if up.source && !up.global {
			topics = append(topics, strings.TrimPrefix(up.name, "topic "))
		}
	}
	return topics
}

// set sorts names and drops those that repeat.
func set(names []string) []string {
	slices.Sort(names)
	return append([]string{}, slices.Compact(names)...)
}

func clone(names []string) []string { return append([]string{}, names...) }

var (
	directories = regexp.MustCompile(`([\w.~-]+/)+`)
	localType   = regexp.MustCompile(`·\d+`)
)

// codecName is the type of a codec, with those that it holds: a codec of windowed
// keys has one of keys. Packages are named without their path.
func codecName(c any) string {
	v := reflect.ValueOf(c)
	if !v.IsValid() {
		return ""
	}
	return typeOfCodec(v)
}

func typeOfCodec(v reflect.Value) string {
	name := localType.ReplaceAllString(directories.ReplaceAllString(v.Type().String(), ""), "")
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return name
	}
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Interface && !f.IsNil() {
			if _, ok := f.Elem().Type().MethodByName("Encode"); ok {
				name += " of " + typeOfCodec(f.Elem())
			}
		}
	}
	return name
}
