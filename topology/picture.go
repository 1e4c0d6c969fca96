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
	keeper := map[string]*node{}
	for _, n := range g.order {
		for _, up := range n.ups {
			edges = append(edges, [2]string{up.name, n.name})
		}
		for _, k := range n.stores {
			if keeper[k.name] == nil {
				keeper[k.name] = n
				edges = append(edges, [2]string{n.name, "changelog " + g.store(k.name).Changelog})
			}
		}
	}
	for _, s := range g.Stores {
		for _, sink := range s.Sinks {
			edges = append(edges, [2]string{keeper[s.Name].name, "sink " + sink.String()})
		}
	}
	return edges
}

func (g *Group) store(name string) *StateStore {
	for i := range g.Stores {
		if g.Stores[i].Name == name {
			return &g.Stores[i]
		}
	}
	return nil
}
