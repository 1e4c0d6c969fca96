package topology

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// String draws the topology as text, one line for each edge, group by group.
// It is stable: a golden file may hold it.
func (t *Topology) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "application %s\n", t.application)
	for _, g := range t.groups {
		fmt.Fprintf(&s, "\ngroup %s\n", g.Name)
		edges := g.edges()
		width := 0
		for _, e := range edges {
			width = max(width, utf8.RuneCountInString(e[0]))
		}
		for _, e := range edges {
			fmt.Fprintf(&s, "  %-*s → %s\n", width, e[0], e[1])
		}
	}
	return s.String()
}

// edges returns what leads where, upstream first.
func (g *Group) edges() (edges [][2]string) {
	for _, n := range g.order {
		if n.up != nil {
			edges = append(edges, [2]string{n.up.name, n.name})
		}
		if n == g.table.node {
			edges = append(edges, [2]string{n.name, "changelog " + g.Table})
		}
	}
	for _, s := range g.Sinks {
		edges = append(edges, [2]string{g.table.name, "sink " + s.String()})
	}
	return edges
}
