package topology

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// String draws the topology as text, one line for each edge, group by group. A
// group is headed by its name, what it reads, and what comes of that: its
// tables, or else the topics that it publishes to, or else its other stores. Task n of a group reads the
// partitions n of all its inputs. It is stable: a golden file
// may hold it.
func (t *Topology) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "application %s\n", t.application)
	if len(t.globals) > 0 {
		s.WriteString("\nglobal tables, whole on every instance\n")
		var edges [][2]string
		for _, g := range t.globals {
			edges = append(edges, [2]string{"topic " + g.Topic, "global table " + g.Store})
		}
		writeEdges(&s, edges)
	}
	for _, g := range t.groups {
		fmt.Fprintf(&s, "\ngroup %s (%s)\n", g.Name, g.summary())
		if len(g.Inputs) > 1 {
			fmt.Fprintf(&s, "  task n reads %s/n\n", strings.Join(g.Inputs, "/n, "))
		}
		writeEdges(&s, t.edges(g))
	}
	return s.String()
}

func writeEdges(s *strings.Builder, edges [][2]string) {
	width := 0
	for _, e := range edges {
		width = max(width, utf8.RuneCountInString(e[0]))
	}
	for _, e := range edges {
		fmt.Fprintf(s, "  %-*s → %s\n", width, e[0], e[1])
	}
}

// summary says in one line what a group makes of what.
func (g *Group) summary() string {
	var tables, stores []string
	for i := range g.Stores {
		if g.Stores[i].Table {
			tables = append(tables, g.Stores[i].Name)
		}
		stores = append(stores, g.Stores[i].Name)
	}
	to := tables
	for _, other := range [][]string{g.Outputs, stores} {
		if len(to) == 0 {
			to = other
		}
	}
	from := strings.Join(g.Inputs, ", ")
	if len(to) == 0 {
		return from
	}
	return from + " → " + strings.Join(to, ", ")
}

// edges returns what leads where in a group, upstream first.
func (t *Topology) edges(g *Group) (edges [][2]string) {
	keeper := map[string]*node{} // the first, of each store
	for _, n := range g.order {
		for _, up := range n.ups {
			edges = append(edges, [2]string{up.name, n.name + t.remark(n)})
		}
		for _, k := range n.stores {
			s := g.store(k.name)
			to := "changelog " + s.Changelog + k.remark()
			if !s.Table {
				to = "store " + s.Name + ", " + to
			}
			if first := keeper[k.name]; first == nil {
				keeper[k.name] = n
			} else if s.Table { // it reads the table
				edges = append(edges, [2]string{first.name, n.name})
				continue
			}
			edges = append(edges, [2]string{n.name, to})
		}
		if n.kind() == "route" {
			edges = append(edges, [2]string{n.name, "the topic chosen for each record"})
		}
	}
	for _, s := range g.Stores {
		for _, sink := range s.Sinks {
			edges = append(edges, [2]string{keeper[s.Name].name, "sink " + sink.String()})
		}
	}
	return edges
}

// remark says of a topic that is written that records come back through it.
func (t *Topology) remark(n *node) string {
	topic, ok := n.publishes()
	if !ok {
		return ""
	}
	r, ok := t.repartition(topic)
	switch {
	case !ok:
		return ""
	case r.Partitions == 0:
		return " (repartition)"
	case r.Partitions == 1:
		return " (repartition, 1 partition)"
	}
	return fmt.Sprintf(" (repartition, %d partitions)", r.Partitions)
}

// remark says of a store for what time its rows are.
func (s *kept) remark() string {
	var about []string
	if s.windows != "" {
		about = append(about, s.windows)
	}
	if s.grace != "" {
		about = append(about, "grace "+s.grace)
	}
	if s.life != "" {
		about = append(about, "kept "+s.life)
	}
	if about == nil {
		return ""
	}
	return " (" + strings.Join(about, ", ") + ")"
}

func (t *Topology) repartition(topic string) (RepartitionTopic, bool) {
	i := slices.IndexFunc(t.repartitions, func(r RepartitionTopic) bool { return r.Topic == topic })
	if i < 0 {
		return RepartitionTopic{}, false
	}
	return t.repartitions[i], true
}

func (g *Group) store(name string) *StateStore {
	for i := range g.Stores {
		if g.Stores[i].Name == name {
			return &g.Stores[i]
		}
	}
	return nil
}

// kind is a step's verb: its name without the number, store or branch. That of a
// topic is "topic" if it is read, else "publish".
func (n *node) kind() string {
	verb, last, ok := cutLast(n.name)
	switch {
	case !ok:
		return n.name
	case n.source && !n.global:
		return "topic"
	case strings.HasPrefix(n.name, "topic "):
		return "publish"
	case strings.HasPrefix(n.name, "branch "):
		return "branch"
	case strings.HasPrefix(n.name, "foreign key "):
		return "foreign key"
	case n.global, strings.Trim(last, "0123456789") == "", slices.ContainsFunc(n.stores, func(k *kept) bool { return k.name == last || strings.HasPrefix(k.name, last+"-") }):
		return verb
	}
	return n.name
}

// publishes returns the topic that a node stands for, if it is one that is
// written.
func (n *node) publishes() (topic string, ok bool) {
	if n.source {
		return "", false
	}
	return strings.CutPrefix(n.name, "topic ")
}

func cutLast(name string) (before, last string, ok bool) {
	i := strings.LastIndexByte(name, ' ')
	if i < 0 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}
