package plan

import (
	"fmt"
	"strings"
)

// Mermaid draws the plan as a Mermaid flowchart: a subgraph for each group,
// with its steps as boxes and its stores as cylinders; topics, global tables and
// sinks lie between the groups. Changelog topics are left out: each store has one.
// It is as stable as String.
func (p *Plan) Mermaid() string {
	c := chart{ids: map[string]string{}}
	c.text.WriteString("flowchart LR\n")
	for _, g := range p.Globals {
		c.link(c.topic(g.Topic, ""), "-->", c.shape("global table "+g.Store, "global table "+g.Store, `[(%s)]`))
	}
	for i := range p.Groups {
		c.group(p, i+1, &p.Groups[i])
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
func (c *chart) group(p *Plan, number int, g *Group) {
	fmt.Fprintf(&c.text, "  subgraph g%d[%s]\n", number, quote("group "+g.Name))
	inside := func(format string, args ...any) { fmt.Fprintf(&c.text, "    "+format+"\n", args...) }
	ids, stores := map[int]string{}, map[string]string{}
	for i := range g.Steps {
		if n := &g.Steps[i]; n.inside() {
			ids[i] = fmt.Sprintf("g%dn%d", number, len(ids)+1)
			inside("%s[%s]", ids[i], quote(n.Name))
		}
	}
	for i := range g.Stores {
		s := &g.Stores[i]
		stores[s.Name] = fmt.Sprintf("g%ds%d", number, i+1)
		inside("%s[(%s)]", stores[s.Name], quote(s.Name))
		for _, sink := range s.Sinks {
			c.link(stores[s.Name], "-->", c.shape("sink "+sink, sink, `{{%s}}`))
		}
	}
	end := func(step int) string {
		if id, ok := ids[step]; ok {
			return id
		}
		return c.outer(p, &g.Steps[step])
	}
	kept := map[string]bool{}
	for i := range g.Steps {
		n := &g.Steps[i]
		for _, up := range n.Ups {
			if n.inside() && g.Steps[up].inside() {
				inside("%s --> %s", ids[up], ids[i])
				continue
			}
			c.link(end(up), "-->", end(i))
		}
		for _, name := range n.Stores {
			arrow := "---"
			if kept[name] && g.store(name).Table { // it reads the table
				arrow = "-.-"
			}
			kept[name] = true
			inside("%s %s %s", ids[i], arrow, stores[name])
		}
		if n.Kind == KindRoute {
			c.link(ids[i], "-->", c.shape("route", "the topic chosen for each record", `([%s])`))
		}
	}
	c.text.WriteString("  end\n")
}

// outer is the id of a topic or a global table.
func (c *chart) outer(p *Plan, s *Step) string {
	if s.Kind == KindGlobal {
		return c.shape(s.Name, s.Name, `[(%s)]`)
	}
	remark := ""
	if p.repartition(s.topic()) != nil {
		remark = " (repartition)"
	}
	return c.topic(s.topic(), remark)
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
