package topology

import (
	"fmt"
	"strings"
)

// Mermaid draws the topology as a Mermaid flowchart: a subgraph for each group,
// with its steps as boxes and its stores as cylinders; topics, global tables and
// sinks lie between the groups. Changelog topics are left out: each store has one.
// It is as stable as String.
func (t *Topology) Mermaid() string {
	c := chart{ids: map[string]string{}}
	c.text.WriteString("flowchart LR\n")
	for _, g := range t.globals {
		c.link(c.topic(g.Topic, ""), "-->", c.shape("global table "+g.Store, "global table "+g.Store, `[(%s)]`))
	}
	for i, g := range t.groups {
		c.group(t, i+1, g)
	}
	for _, line := range c.outside {
		c.text.WriteString("  " + line + "\n")
	}
	return c.text.String()
}

// A chart is a flowchart that is drawn.
type chart struct {
	text    strings.Builder
	ids     map[string]string // of what lies outside of groups
	outside []string          // lines that follow the groups
}

// group draws a group. Its lines to and from what lies outside follow later: a
// node belongs to the subgraph that first names it.
func (c *chart) group(t *Topology, number int, g *Group) {
	fmt.Fprintf(&c.text, "  subgraph g%d[%s]\n", number, quote("group "+g.Name))
	inside := func(format string, args ...any) { fmt.Fprintf(&c.text, "    "+format+"\n", args...) }
	ids, stores := map[*node]string{}, map[string]string{}
	for _, n := range g.order {
		if _, published := n.publishes(); !n.source && !published {
			ids[n] = fmt.Sprintf("g%dn%d", number, len(ids)+1)
			inside("%s[%s]", ids[n], quote(n.name))
		}
	}
	for i := range g.Stores {
		s := &g.Stores[i]
		stores[s.Name] = fmt.Sprintf("g%ds%d", number, i+1)
		inside("%s[(%s)]", stores[s.Name], quote(s.Name))
		for _, sink := range s.Sinks {
			c.link(stores[s.Name], "-->", c.shape("sink "+sink.String(), sink.String(), `{{%s}}`))
		}
	}
	keeper := map[string]*node{}
	for _, n := range g.order {
		for _, up := range n.ups {
			from, fromInside := ids[up]
			to, toInside := ids[n]
			if fromInside && toInside {
				inside("%s --> %s", from, to)
				continue
			}
			c.link(c.end(t, up, ids), "-->", c.end(t, n, ids))
		}
		for _, k := range n.stores {
			arrow := "---"
			if s := g.store(k.name); s.Table && keeper[k.name] != nil { // it reads the table
				arrow = "-.-"
			}
			keeper[k.name] = n
			inside("%s %s %s", ids[n], arrow, stores[k.name])
		}
		if n.kind() == "route" {
			c.link(ids[n], "-->", c.shape("route", "the topic chosen for each record", `([%s])`))
		}
	}
	c.text.WriteString("  end\n")
}

// end is the id of one end of a line.
func (c *chart) end(t *Topology, n *node, ids map[*node]string) string {
	if id, ok := ids[n]; ok {
		return id
	}
	if n.global {
		return c.shape(n.name, n.name, `[(%s)]`)
	}
	topic, published := n.publishes()
	if !published {
		topic = strings.TrimPrefix(n.name, "topic ")
	}
	remark := ""
	if _, ok := t.repartition(topic); ok {
		remark = " (repartition)"
	}
	return c.topic(topic, remark)
}

func (c *chart) topic(name, remark string) string {
	return c.shape("topic "+name, name+remark, `([%s])`)
}

// shape draws something outside of groups, once, and returns its id.
func (c *chart) shape(name, label, format string) string {
	id, ok := c.ids[name]
	if !ok {
		id = fmt.Sprintf("x%d", len(c.ids)+1)
		c.ids[name] = id
		c.outside = append(c.outside, id+fmt.Sprintf(format, quote(label)))
	}
	return id
}

func (c *chart) link(from, arrow, to string) {
	c.outside = append(c.outside, from+" "+arrow+" "+to)
}

// quote writes a label. What has a meaning in Mermaid, or in the HTML that it
// becomes, is written as an entity.
func quote(label string) string {
	var s strings.Builder
	s.WriteByte('"')
	for _, r := range label {
		switch {
		case r < ' ' || r == 0x7f:
			s.WriteByte(' ')
		case strings.ContainsRune("\"#&<>`\\*", r):
			fmt.Fprintf(&s, "#%d;", r)
		default:
			s.WriteRune(r)
		}
	}
	s.WriteByte('"')
	return s.String()
}
