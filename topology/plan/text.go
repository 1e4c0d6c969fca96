package plan

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// String draws the plan as text, one line for each edge, group by group. A
// group is headed by its name, what it reads, and what comes of that: its
// tables, or else the topics that it publishes to, or else its other stores. Task n of a group reads the
// partitions n of all its inputs. It is stable: a golden file
// may hold it.
func (p *Plan) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "application %s\n", p.Application)
	if len(p.Globals) > 0 {
		s.WriteString("\nglobal tables, whole on every instance\n")
		var edges [][2]string
		for _, g := range p.Globals {
			edges = append(edges, [2]string{"topic " + g.Topic, "global table " + g.Store})
		}
		writeEdges(&s, edges)
	}
	for i := range p.Groups {
		g := &p.Groups[i]
		fmt.Fprintf(&s, "\ngroup %s (%s)\n", g.Name, g.summary())
		if len(g.Inputs) > 1 {
			fmt.Fprintf(&s, "  task n reads %s/n\n", strings.Join(g.Inputs, "/n, "))
		}
		writeEdges(&s, p.edges(g))
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
func (p *Plan) edges(g *Group) (edges [][2]string) {
	keeper := map[string]*Step{} // the first, of each store
	for i := range g.Steps {
		n := &g.Steps[i]
		for _, up := range n.Ups {
			edges = append(edges, [2]string{g.Steps[up].Name, n.Name + p.remark(n)})
		}
		for _, name := range n.Stores {
			s := g.store(name)
			to := "changelog " + s.Changelog + s.remark()
			if !s.Table {
				to = "store " + s.Name + ", " + to
			}
			if first := keeper[name]; first == nil {
				keeper[name] = n
			} else if s.Table { // it reads the table
				edges = append(edges, [2]string{first.Name, n.Name})
				continue
			}
			edges = append(edges, [2]string{n.Name, to})
		}
		if n.Kind == KindRoute {
			edges = append(edges, [2]string{n.Name, "the topic chosen for each record"})
		}
	}
	for i := range g.Stores {
		s := &g.Stores[i]
		for _, sink := range s.Sinks {
			edges = append(edges, [2]string{keeper[s.Name].Name, "sink " + sink})
		}
	}
	return edges
}

// remark says of a topic that is written that records come back through it.
func (p *Plan) remark(n *Step) string {
	if n.Kind != KindPublish {
		return ""
	}
	r := p.repartition(n.topic())
	switch {
	case r == nil:
		return ""
	case r.Partitions == 0:
		return " (repartition)"
	case r.Partitions == 1:
		return " (repartition, 1 partition)"
	}
	return fmt.Sprintf(" (repartition, %d partitions)", r.Partitions)
}

// remark says of a store for what time its rows are.
func (s *Store) remark() string {
	var about []string
	if s.Windows != "" {
		about = append(about, s.Windows)
	}
	if s.Grace != "" {
		about = append(about, "grace "+s.Grace)
	}
	if s.TTL != "" {
		about = append(about, "kept "+s.TTL)
	}
	if about == nil {
		return ""
	}
	return " (" + strings.Join(about, ", ") + ")"
}
