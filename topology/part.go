package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A part is what becomes a group: steps that are connected by streams and
// tables. Topics and global tables bind nothing together.
type part struct {
	nodes   []*node // in the order of the declaration
	inputs  []*input
	globals []*global
	stores  []*kept
}

// parts cuts the topology into what runs on its own. Steps that lead nowhere
// are in none.
func (b *Builder) parts() []*part {
	useful := b.useful()
	root := map[*node]*node{}
	var find func(*node) *node
	find = func(n *node) *node {
		if root[n] == nil || root[n] == n {
			return n
		}
		root[n] = find(root[n])
		return root[n]
	}
	join := func(x, y *node) { root[find(x)] = find(y) }
	keeper := map[string]*node{} // of each store
	for _, n := range b.nodes {
		if n.source || !useful[n] {
			continue
		}
		for _, up := range n.ups {
			if !up.source {
				join(n, up)
			}
		}
		for _, s := range n.stores {
			if first, ok := keeper[s.name]; ok {
				join(n, first)
			}
			keeper[s.name] = n
		}
	}
	b.joinStoreless(useful, find, join)
	byRoot := map[*node]*part{}
	var parts []*part
	for _, n := range b.nodes {
		if n.source || !useful[n] {
			continue
		}
		p := byRoot[find(n)]
		if p == nil {
			p = &part{}
			byRoot[find(n)] = p
			parts = append(parts, p)
		}
		b.addTo(p, n)
	}
	for _, p := range parts {
		p.sort()
	}
	return parts
}

// joinStoreless joins what keeps nothing and reads the same topic: nothing else
// tells such parts apart.
func (b *Builder) joinStoreless(useful map[*node]bool, find func(*node) *node, join func(x, y *node)) {
	keeps := map[*node]bool{}
	for _, n := range b.nodes {
		if useful[n] && !n.source && len(n.stores) > 0 {
			keeps[find(n)] = true
		}
	}
	reads := map[*node]*node{} // a topic's first storeless reader
	for _, n := range b.nodes {
		if n.source || !useful[n] || keeps[find(n)] {
			continue
		}
		for _, up := range n.ups {
			if !up.source || up.global {
				continue
			}
			if first, ok := reads[up]; ok {
				join(n, first)
			}
			reads[up] = n
		}
	}
}

// useful are the steps that have an effect, and what leads to them.
func (b *Builder) useful() map[*node]bool {
	useful := map[*node]bool{}
	for i := len(b.nodes) - 1; i >= 0; i-- {
		n := b.nodes[i]
		if n.effect || useful[n] {
			useful[n] = true
			for _, up := range n.ups {
				useful[up] = true
			}
		}
	}
	return useful
}

func (b *Builder) addTo(p *part, n *node) {
	p.nodes = append(p.nodes, n)
	for _, s := range n.stores {
		if !slices.Contains(p.stores, s) {
			p.stores = append(p.stores, s)
		}
	}
	for _, up := range n.ups {
		for _, in := range b.inputs {
			if in.node == up && !slices.Contains(p.inputs, in) {
				p.inputs = append(p.inputs, in)
			}
		}
		for _, g := range b.globals {
			if g.node == up && !slices.Contains(p.globals, g) {
				p.globals = append(p.globals, g)
			}
		}
	}
}

func (p *part) sort() {
	slices.SortFunc(p.inputs, func(x, y *input) int { return cmp.Compare(x.topic, y.topic) })
	slices.SortFunc(p.globals, func(x, y *global) int { return cmp.Compare(x.Store, y.Store) })
	slices.SortFunc(p.stores, func(x, y *kept) int {
		if x.table != y.table {
			if x.table {
				return -1
			}
			return 1
		}
		return cmp.Compare(x.name, y.name)
	})
}

// name is what the part's group is called after.
func (p *part) name() string {
	if len(p.stores) > 0 {
		return p.stores[0].name
	}
	return p.inputs[0].topic
}

// group compiles the group of a part.
func (b *Builder) group(p *part) *Group {
	g := &Group{Name: b.application + "-" + p.name(), nodes: map[*node]bool{}, inputs: map[string]*input{}}
	for _, in := range p.inputs {
		g.Inputs = append(g.Inputs, in.topic)
		g.inputs[in.topic] = in
		g.nodes[in.node] = true
	}
	for _, s := range p.stores {
		g.Stores = append(g.Stores, s.state(b))
	}
	for _, gl := range p.globals {
		g.Globals = append(g.Globals, gl.Global)
		g.nodes[gl.node] = true
	}
	for _, n := range p.nodes {
		g.nodes[n] = true
	}
	for _, n := range b.nodes {
		if g.nodes[n] {
			g.order = append(g.order, n)
		}
	}
	for _, pub := range b.publishes {
		if g.nodes[pub.node] {
			g.Outputs = append(g.Outputs, pub.topic)
		}
	}
	slices.Sort(g.Outputs)
	g.Outputs = slices.Compact(g.Outputs)
	return g
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
func (b *Builder) checkShape(parts []*part) (errs []error) {
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	named := func(topic string) bool { return b.inputs[topic] != nil || b.outputs[topic] != nil }
	for _, s := range b.stores {
		changelog := b.changelog(s.name)
		if len(changelog) > maxName {
			refuse("store %q: its changelog topic %q has a name of %d bytes, more than Kafka's %d", s.name, changelog, len(changelog), maxName)
		}
		if named(changelog) {
			refuse("topic %q: it is the changelog topic of store %q, too", changelog, s.name)
		}
		if named(s.name) {
			refuse("store %q: a topic has this name, too", s.name)
		}
	}
	if len(b.stores)+len(b.inputs)+len(b.errs) == 0 {
		refuse("the topology does nothing: Consume or Materialize a topic")
	}
	read := map[*input]bool{}
	for _, p := range parts {
		for _, in := range p.inputs {
			read[in] = true
		}
		if len(p.inputs) == 0 && len(b.errs) == 0 {
			refuse("%s: nothing leads to it", p.nodes[0].name)
		}
	}
	for _, name := range sorted(b.inputs) {
		in := b.inputs[name]
		if !read[in] {
			refuse("topic %q: it is read, and nothing is kept, published or called of it", name)
		}
		if _, also := b.outputs[name]; in.repartition != nil && !also {
			refuse("topic %q: it is a repartition topic, and nothing is sent through it", name)
		}
	}
	return append(errs, b.checkCycles(parts)...)
}

// checkCycles refuses topics that feed themselves.
func (b *Builder) checkCycles(parts []*part) (errs []error) {
	leads := map[string][]string{} // from a topic to those published of it
	for _, p := range parts {
		for _, in := range p.inputs {
			for _, pub := range b.publishes {
				if slices.Contains(p.nodes, pub.node) && downstream(pub.node, in.node) {
					leads[in.topic] = append(leads[in.topic], pub.topic)
				}
			}
		}
	}
	done := map[string]bool{}
	var walk func(path []string)
	walk = func(path []string) {
		topic := path[len(path)-1]
		if i := slices.Index(path[:len(path)-1], topic); i >= 0 {
			errs = append(errs, fmt.Errorf("topic %q: it feeds itself: %s", topic, strings.Join(path[i:], " → ")))
			return
		}
		if done[topic] {
			return
		}
		for _, to := range leads[topic] {
			walk(append(slices.Clone(path), to))
		}
		done[topic] = true
	}
	for _, topic := range sorted(leads) {
		walk([]string{topic})
	}
	return errs
}

// downstream reports whether records of one node may come to another.
func downstream(n, of *node) bool {
	return n == of || slices.ContainsFunc(n.ups, func(up *node) bool { return downstream(up, of) })
}
