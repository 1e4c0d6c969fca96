package topology

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A Builder collects the parts of a topology and their mistakes. It is not
// safe for concurrent use.
type Builder struct {
	application string
	place       string // where it was made
	errs        []error

	nodes     []*node // in the order of their declaration, so upstream first
	inputs    map[string]*input
	outputs   map[string]*output
	globals   map[string]*global // by store
	stores    []*kept
	publishes []*publish
	steps     map[string]int // how many of each verb have no name of their own
}

// An input is a topic that is read.
type input struct {
	*node
	topic       string
	policies    Policies
	declared    declaration
	stream      any // *stream[K, V]
	handle      any // Topic[K, V]
	start       func(*Task) *taskInput
	repartition *RepartitionTopic // nil if the topic is not ours
}

// An output is a topic that is published to, however often.
type output struct {
	declared declaration
	handle   any // Topic[K, V], with its codecs
}

// A publish is one step that writes to a topic.
type publish struct {
	*node
	topic string
}

// NewBuilder starts a topology. The application name is the prefix of the
// consumer groups, and of the topics that tidemark creates.
func NewBuilder(application string) *Builder {
	b := &Builder{application: application, place: place()}
	b.ready()
	return b
}

// ready makes a zero Builder fit for use; Build will miss its name.
func (b *Builder) ready() {
	if b.inputs == nil {
		b.inputs, b.outputs, b.globals, b.steps = map[string]*input{}, map[string]*output{}, map[string]*global{}, map[string]int{}
	}
}

// Build checks the topology and freezes it. The error lists every mistake, with the
// file and line of the declaration that is wrong, and the names of what it is about.
func (b *Builder) Build() (*Topology, error) {
	b.ready()
	parts := b.parts()
	errs := slices.Concat(b.checkApplication(), b.errs, b.checkShape(parts))
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	t := &Topology{
		application: b.application,
		topics:      map[string]texts{},
		stores:      map[string]texts{},
		changelogs:  map[string]texts{},
		handles:     map[string]any{},
	}
	for _, name := range sorted(b.inputs) {
		in := b.inputs[name]
		t.topics[name], t.handles[name] = in.declared.texts, in.handle
		if in.repartition != nil {
			t.repartitions = append(t.repartitions, *in.repartition)
		}
	}
	for name, out := range b.outputs {
		t.topics[name], t.handles[name] = out.declared.texts, out.handle
	}
	for _, s := range b.stores {
		if s.texts != nil {
			t.stores[s.name], t.changelogs[b.changelog(s.name)], t.handles[s.name] = *s.texts, *s.texts, s.handle
		}
	}
	for _, name := range sorted(b.globals) {
		g := b.globals[name]
		t.stores[g.Store], t.handles[g.Store] = g.texts, g.handle
		if _, consumed := t.topics[g.Topic]; !consumed {
			t.topics[g.Topic], t.handles[g.Topic] = g.texts, g.from
		}
		t.globals = append(t.globals, g.Global)
	}
	for _, part := range parts {
		t.groups = append(t.groups, b.group(part))
	}
	return t, nil
}

func (b *Builder) changelog(store string) string { return b.application + "-" + store + "-table" }

// add makes a node downstream of others.
func (b *Builder) add(name string, ups ...*node) *node {
	n := &node{name: name, place: place(), ups: ups}
	b.given().nodes = append(b.nodes, n)
	return n
}

// number returns the name of the next step of a verb.
func (b *Builder) number(verb string) string {
	b.given().steps[verb]++
	return fmt.Sprintf("%s %d", verb, b.steps[verb])
}

// given panics if there is no builder: what is given to a verb was never declared,
// so there is no Build that could report it.
func (b *Builder) given() *Builder {
	if b == nil {
		panic("topology: a verb is given nothing: a zero Stream or Table, a Merge or Cogroup of none, or no Builder") //nolint:forbidigo // there is no Build to return it
	}
	return b
}

// wrong notes a mistake.
func (b *Builder) wrong(format string, args ...any) { b.note(fmt.Errorf(format, args...)) }

// note notes the mistakes that an error lists, in what is being declared.
func (b *Builder) note(err error) {
	for _, err := range each(err) {
		b.given().errs = append(b.errs, placed(place(), err))
	}
}

// placed says where a mistake is.
func placed(place string, err error) error {
	if place == "" {
		return err
	}
	return fmt.Errorf("%s: %w", place, err)
}

// each returns the errors that were joined to one.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// needs notes that the function of a step is missing, if it is.
func (b *Builder) needs(n *node, missing bool) {
	if missing {
		b.wrong("%s: the function is nil", n.name)
	}
}

// keyed notes that a step needs the records of a key in one partition, and that
// a step before it has changed keys, if one has.
func (b *Builder) keyed(n *node, rekeyed bool) {
	if rekeyed {
		b.wrong("%s: a step before it has changed keys, so that records of one key lie in several partitions: put Repartition between", n.name)
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
