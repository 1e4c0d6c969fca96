// Package plan holds what a topology is cut into as one plain value, draws it,
// describes it as JSON, compares descriptions, and counts partitions.
package plan

import (
	"slices"
	"strings"
)

// A Plan is a topology as it runs: groups with their steps, and what lies between
// them. It holds names only. [topology.Topology] makes it.
type Plan struct {
	Application string
	Groups      []Group  // in the order of their declaration
	Globals     []Global // by store
	Topics      []Topic  // what is read and published, by name
}

// A Group is a consumer group.
type Group struct {
	Name    string
	Inputs  []string // topics, sorted
	Outputs []string // topics, sorted
	Globals []string // stores of global tables, sorted
	Steps   []Step   // upstream first
	Stores  []Store  // tables first, both by name
}

// A Step is one step of a group, or what leads to its steps from outside: a topic
// that is read, or a global table.
type Step struct {
	Name   string
	Kind   Kind
	Ups    []int    // what leads to it, as indices of the group's steps
	Stores []string // what it keeps or reads
}

// A Kind is a step's verb, as "count". Other kinds are those named here.
type Kind string

// Kinds of steps with a meaning of their own.
const (
	KindTopic   Kind = "topic"        // a topic that is read
	KindGlobal  Kind = "global table" // a global table that is looked at
	KindPublish Kind = "publish"      // a topic that is written
	KindRoute   Kind = "route"        // topics that are chosen for each record
)

// topicPrefix is what names of steps that are topics begin with.
const topicPrefix = "topic "

// topic is the topic that a step stands for, of kind KindTopic or KindPublish.
func (s *Step) topic() string { return strings.TrimPrefix(s.Name, topicPrefix) }

// inside tells whether a step is a box of its own in a group: it is no topic and no
// global table.
func (s *Step) inside() bool {
	return s.Kind != KindTopic && s.Kind != KindGlobal && s.Kind != KindPublish
}

// A Store is what a group keeps.
type Store struct {
	Name, Changelog string
	Table           bool // else a step keeps it for itself
	EveryChange     bool
	Key, Value      string // codecs, "" if nobody reads its rows
	Windows         string // what of windows its rows are, and for how long they change and live, "" for none
	Grace, TTL      string
	Sinks           []string
}

// A Global is a global table.
type Global struct {
	Store, Topic string
	Key, Value   string // codecs
}

// A Topic is a topic that is read or published.
type Topic struct {
	Name        string
	Key, Value  string // codecs
	Repartition *Repartition
}

// A Repartition says what a topic is to be that the processor creates.
type Repartition struct {
	Partitions int32 `json:"partitions"` // 0 for as many as its readers need
}

// repartition returns how a topic is to be created, nil if it is not ours to create.
func (p *Plan) repartition(topic string) *Repartition {
	i := slices.IndexFunc(p.Topics, func(t Topic) bool { return t.Name == topic })
	if i < 0 {
		return nil
	}
	return p.Topics[i].Repartition
}

func (g *Group) store(name string) *Store {
	i := slices.IndexFunc(g.Stores, func(s Store) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &g.Stores[i]
}

// sources returns the topics whose records come to a step.
func (g *Group) sources(step int) (topics []string) {
	seen := map[int]bool{}
	var walk func(int)
	walk = func(i int) {
		if seen[i] {
			return
		}
		seen[i] = true
		if s := &g.Steps[i]; s.Kind == KindTopic {
			topics = append(topics, s.topic())
		}
		for _, up := range g.Steps[i].Ups {
			walk(up)
		}
	}
	walk(step)
	return topics
}
