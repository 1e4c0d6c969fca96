package topology

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// A part is what becomes a group. Steps that keep rows are the anchors: each
// brings the steps that lead to it from the topics, and is in one part with the
// anchors before it. So steps that keep nothing may run in several parts, and a
// table depends on nothing but what it is made of.
type part struct {
	nodes   map[*node]bool
	inputs  []*input
	globals []*global
	stores  []*kept
}

// parts cuts the topology into what runs on its own, in the order of the
// declaration. Steps that lead nowhere are in none.
func (b *Builder) parts() []*part {
	u := union{}
	byStore := map[string]*node{}
	for _, n := range b.anchors() {
		for up := range before(n) {
			if up.once() {
				u.join(n, up)
			}
		}
		for _, s := range n.stores { // steps may share one
			if first, ok := byStore[s.name]; ok {
				u.join(n, first)
			}
			byStore[s.name] = n
		}
	}
	b.joinStoreless(u)
	byRoot := map[*node]*part{}
	var parts []*part
	for _, n := range b.anchors() {
		p := byRoot[u.find(n)]
		if p == nil {
			p = &part{nodes: map[*node]bool{}}
			byRoot[u.find(n)] = p
			parts = append(parts, p)
		}
		b.addTo(p, n)
	}
	for _, p := range parts {
		p.sort()
	}
	return parts
}

// anchors are the steps that have an effect, or lead to one and must run once.
func (b *Builder) anchors() (anchors []*node) {
	needed := map[*node]bool{}
	for _, n := range b.nodes {
		if n.effect {
			needed[n] = true
			for up := range before(n) {
				needed[up] = true
			}
		}
	}
	for i := len(b.nodes) - 1; i >= 0; i-- { // a step that runs once needs what leads to it
		if n := b.nodes[i]; needed[n] && n.once() {
			for up := range before(n) {
				needed[up] = true
			}
		}
	}
	for _, n := range b.nodes {
		if needed[n] && (n.effect || n.once()) {
			anchors = append(anchors, n)
		}
	}
	return anchors
}

// once tells whether a step must not run in two groups.
func (n *node) once() bool { return len(n.stores) > 0 || n.calls }

// before yields what leads to a step, up to topics, global tables and the
// nearest steps that run once.
func before(n *node) iter.Seq[*node] {
	return func(yield func(*node) bool) {
		seen := map[*node]bool{}
		var walk func(*node) bool
		walk = func(n *node) bool {
			for _, up := range n.ups {
				if seen[up] {
					continue
				}
				seen[up] = true
				if !yield(up) || !up.source && !up.once() && !walk(up) {
					return false
				}
			}
			return true
		}
		walk(n)
	}
}

// A union holds which steps are in one part.
type union map[*node]*node

func (u union) find(n *node) *node {
	if u[n] == nil || u[n] == n {
		return n
	}
	u[n] = u.find(u[n])
	return u[n]
}

func (u union) join(x, y *node) {
	if x, y = u.find(x), u.find(y); x != y {
		u[x] = y
	}
}

// joinStoreless joins what keeps nothing and reads the same topic: nothing else
// would tell such groups apart.
func (b *Builder) joinStoreless(u union) {
	keeps := map[*node]bool{}
	for _, n := range b.anchors() {
		if len(n.stores) > 0 {
			keeps[u.find(n)] = true
		}
	}
	reads := map[*node]*node{} // a topic's first storeless reader
	for _, n := range b.anchors() {
		if keeps[u.find(n)] {
			continue
		}
		for up := range before(n) {
			if !up.source || up.global {
				continue
			}
			if first, ok := reads[up]; ok {
				u.join(n, first)
			}
			reads[up] = n
		}
	}
}

func (b *Builder) addTo(p *part, n *node) {
	for _, s := range n.stores {
		if !slices.Contains(p.stores, s) {
			p.stores = append(p.stores, s)
		}
	}
	p.nodes[n] = true
	for up := range before(n) {
		if p.nodes[up] {
			continue
		}
		p.nodes[up] = true
		for _, in := range b.inputs {
			if in.node == up {
				p.inputs = append(p.inputs, in)
			}
		}
		for _, g := range b.globals {
			if g.node == up {
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
	switch {
	case len(p.stores) > 0:
		return p.stores[0].name
	case len(p.inputs) > 0:
		return p.inputs[0].topic
	}
	return "" // a mistake was made
}

// group compiles the group of a part.
func (b *Builder) group(p *part) *Group {
	g := &Group{Name: b.application + "-" + p.name(), nodes: p.nodes, inputs: map[string]*input{}}
	for _, in := range p.inputs {
		g.Inputs = append(g.Inputs, in.topic)
		g.inputs[in.topic] = in
	}
	for _, s := range p.stores {
		g.Stores = append(g.Stores, s.state(b))
	}
	for _, gl := range p.globals {
		g.Globals = append(g.Globals, gl.Global)
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
		return []error{placed(b.place, err)}
	}
	if topic := b.application + "-dead-letters"; len(topic) > maxName {
		return []error{placed(b.place, fmt.Errorf("application %q: its topic of dead letters has a name of %d bytes, more than Kafka's %d", b.application, len(topic), maxName))}
	}
	return nil
}

// checkShape finds what only the whole shows.
func (b *Builder) checkShape(parts []*part) (errs []error) {
	refuse := func(place, format string, args ...any) {
		errs = append(errs, placed(place, fmt.Errorf(format, args...)))
	}
	named := func(topic string) bool { return b.inputs[topic] != nil || b.outputs[topic] != nil }
	for _, s := range b.stores {
		changelog := b.changelog(s.name)
		if len(changelog) > maxName {
			refuse(s.place, "store %q: its changelog topic %q has a name of %d bytes, more than Kafka's %d", s.name, changelog, len(changelog), maxName)
		}
		if named(changelog) {
			refuse(b.placeOfTopic(changelog), "topic %q: it is the changelog topic of store %q, too", changelog, s.name)
		}
		if named(s.name) {
			refuse(s.place, "store %q: a topic has this name, too", s.name)
		}
	}
	if len(b.stores)+len(b.inputs)+len(b.errs) == 0 {
		refuse(b.place, "the topology does nothing: Consume or Materialize a topic")
	}
	read := map[*input]bool{}
	for _, p := range parts {
		for _, in := range p.inputs {
			read[in] = true
		}
		if len(p.inputs) == 0 && len(b.errs) == 0 {
			refuse(b.place, "store %q: no topic leads to it", p.name())
		}
	}
	for _, name := range sorted(b.inputs) {
		in := b.inputs[name]
		if !read[in] {
			refuse(in.place, "topic %q: it is read, and nothing is kept, published or called of it", name)
		}
		if _, also := b.outputs[name]; in.repartition != nil && !also {
			refuse(in.place, "topic %q: it is a repartition topic, and nothing is sent through it", name)
		}
	}
	return append(errs, b.checkCycles(parts)...)
}

// placeOfTopic returns where a topic was first published to, or else read.
func (b *Builder) placeOfTopic(name string) string {
	for _, pub := range b.publishes {
		if pub.topic == name {
			return pub.place
		}
	}
	if in := b.inputs[name]; in != nil {
		return in.place
	}
	return ""
}

// checkCycles refuses topics that feed themselves.
func (b *Builder) checkCycles(parts []*part) (errs []error) {
	leads := map[string][]string{} // from a topic to those published of it
	for _, p := range parts {
		for _, in := range p.inputs {
			for _, pub := range b.publishes {
				if p.nodes[pub.node] && slices.Contains(pub.upTo(), in.node) {
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
			errs = append(errs, placed(b.placeOfTopic(topic), fmt.Errorf("topic %q: it feeds itself: %s", topic, strings.Join(path[i:], " → "))))
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
