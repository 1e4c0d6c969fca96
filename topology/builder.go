package topology

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Builder collects the parts of a topology and their mistakes. It is not
// safe for concurrent use.
type Builder struct {
	application string
	errs        []error

	nodes     []*node // in the order of their declaration, so upstream first
	inputs    map[string]*input
	outputs   map[string]*output
	tables    []*table
	publishes []*publish
	steps     map[string]int // how many of each verb have no name of their own
}

// An input is a topic that is read.
type input struct {
	*node
	topic    string
	policies Policies
	declared declaration
	stream   any // *stream[K, V]
	handle   any // Topic[K, V]
	start    func(*Task) func() error
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

// A table is a node that keeps rows.
type table struct {
	*node
	store       string
	everyChange bool
	sinks       []Sink
	texts       texts
	handle      any // Store[K, V], with its codecs
}

// NewBuilder starts a topology. The application name is the prefix of the
// consumer groups, and of the topics that tidemark creates.
func NewBuilder(application string) *Builder {
	b := &Builder{application: application}
	b.ready()
	return b
}

// ready makes a zero Builder fit for use; Build will miss its name.
func (b *Builder) ready() {
	if b.inputs == nil {
		b.inputs, b.outputs, b.steps = map[string]*input{}, map[string]*output{}, map[string]int{}
	}
}

// Build checks the topology and freezes it. The error lists every mistake, by name.
func (b *Builder) Build() (*Topology, error) {
	errs := slices.Concat(b.checkApplication(), b.errs, b.checkShape())
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
	for name, in := range b.inputs {
		t.topics[name], t.handles[name] = in.declared.texts, in.handle
	}
	for name, out := range b.outputs {
		t.topics[name], t.handles[name] = out.declared.texts, out.handle
	}
	for _, tb := range b.tables {
		g := b.group(tb)
		t.groups = append(t.groups, g)
		t.stores[tb.store] = tb.texts
		t.changelogs[g.Table] = tb.texts
		t.handles[tb.store] = tb.handle
	}
	return t, nil
}

// group compiles the group of a table: what leads to it, what is published of
// it, and what is published of its input if no earlier group does that.
func (b *Builder) group(tb *table) *Group {
	g := &Group{
		Name:        b.application + "-" + tb.store,
		Input:       tb.input.topic,
		Store:       tb.store,
		Table:       b.changelog(tb.store),
		EveryChange: tb.everyChange,
		Sinks:       slices.Clone(tb.sinks),
		table:       tb,
		nodes:       map[*node]bool{},
	}
	g.run(tb.node)
	for _, p := range b.publishes {
		if b.owner(p) == tb {
			g.run(p.node)
			g.Outputs = append(g.Outputs, p.topic)
		}
	}
	slices.Sort(g.Outputs)
	g.Outputs = slices.Compact(g.Outputs)
	for _, n := range b.nodes {
		if g.nodes[n] {
			g.order = append(g.order, n)
		}
	}
	return g
}

// owner returns the table in whose group a step runs that publishes.
func (b *Builder) owner(p *publish) *table {
	first := -1
	for i, tb := range b.tables {
		if p.up == tb.node {
			return tb
		}
		if first < 0 && tb.input == p.input {
			first = i
		}
	}
	return b.tables[first]
}

func (b *Builder) changelog(store string) string { return b.application + "-" + store + "-table" }

// add makes a node downstream of up.
func (b *Builder) add(name string, up *node) *node {
	n := &node{name: name, up: up}
	if up != nil {
		n.input = up.input
	}
	if b != nil {
		b.nodes = append(b.nodes, n)
	}
	return n
}

// number returns the name of the next step of a verb.
func (b *Builder) number(verb string) string {
	if b == nil {
		return verb
	}
	b.steps[verb]++
	return fmt.Sprintf("%s %d", verb, b.steps[verb])
}

// wrong notes a mistake. A zero Stream has no builder to note it.
func (b *Builder) wrong(format string, args ...any) {
	if b != nil {
		b.errs = append(b.errs, fmt.Errorf(format, args...))
	}
}

func (b *Builder) checkApplication() []error {
	if err := checkName("application", b.application); err != nil {
		return []error{err}
	}
	if topic := b.application + "-dead-letters"; len(topic) > maxName {
		return []error{fmt.Errorf("application %q: its topic of dead letters has a name of %d bytes, more than Kafka's %d", b.application, len(topic), maxName)}
	}
	return nil
}

// checkShape finds what only the whole shows.
func (b *Builder) checkShape() (errs []error) {
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	tabled := map[*input]bool{}
	named := func(topic string) bool { return b.inputs[topic] != nil || b.outputs[topic] != nil }
	for _, tb := range b.tables {
		tabled[tb.input] = true
		changelog := b.changelog(tb.store)
		if len(changelog) > maxName {
			refuse("store %q: its changelog topic %q has a name of %d bytes, more than Kafka's %d", tb.store, changelog, len(changelog), maxName)
		}
		if named(changelog) {
			refuse("topic %q: it is the changelog topic of store %q, too", changelog, tb.store)
		}
		if named(tb.store) {
			refuse("store %q: a topic has this name, too", tb.store)
		}
	}
	if len(b.tables)+len(b.inputs)+len(b.errs) == 0 {
		refuse("the topology keeps nothing: Materialize, ToTable, Count and Aggregate make tables")
	}
	for _, name := range sorted(b.inputs) {
		in := b.inputs[name]
		if _, also := b.outputs[name]; also {
			refuse("topic %q: it is read and published", name)
		}
		if tabled[in] {
			continue
		}
		var published []string
		for _, p := range b.publishes {
			if p.input == in {
				published = append(published, fmt.Sprintf("%q", p.topic))
			}
		}
		if len(published) == 0 {
			refuse("topic %q: it is read, and nothing is kept of it", name)
		} else {
			refuse("topic %q: it is published to %s and feeds no table: a stream without a table is not supported yet", name, strings.Join(published, ", "))
		}
	}
	return errs
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
