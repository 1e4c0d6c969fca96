package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A comparison is of two descriptions, whose groups are named without the
// application.
type comparison struct {
	was, is *description
	found   []Difference

	before map[string]string // the old group that a new one goes on as, by name
}

func newComparison(was, is *description) *comparison {
	c := &comparison{was: was, is: is, before: map[string]string{}}
	for _, d := range []*description{was, is} {
		for i := range d.Groups {
			d.Groups[i].Name = strings.TrimPrefix(d.Groups[i].Name, d.Application+"-")
		}
		for i := range d.Stores {
			d.Stores[i].Group = strings.TrimPrefix(d.Stores[i].Group, d.Application+"-")
		}
	}
	for i := range is.Groups {
		if old := c.predecessor(&is.Groups[i]); old != nil {
			c.before[is.Groups[i].Name] = old.Name
		}
	}
	return c
}

func (c *comparison) note(l Level, what, format string, args ...any) {
	c.found = append(c.found, Difference{l, what, fmt.Sprintf(format, args...)})
}

// predecessor returns the old group that a new one stands for: the one of its
// name, else one that is gone and kept one of its stores, or, if neither keeps any,
// read one of its topics.
func (c *comparison) predecessor(g *groupDescription) *groupDescription {
	if old := c.was.group(g.Name); old != nil {
		return old
	}
	for i := range c.was.Groups {
		old := &c.was.Groups[i]
		if c.is.group(old.Name) != nil {
			continue
		}
		if meet(g.Stores, old.Stores) || len(g.Stores)+len(old.Stores) == 0 && meet(g.Inputs, old.Inputs) {
			return old
		}
	}
	return nil
}

func (c *comparison) application() {
	if c.was.Application != c.is.Application {
		c.note(NeedsReset, "application "+c.is.Application,
			"it was %s: groups, changelogs and local tables are named after it, so everything begins anew", c.was.Application)
	}
}

func (c *comparison) groups() {
	for i := range c.is.Groups {
		g := &c.is.Groups[i]
		what := "group " + g.Name
		name, known := c.before[g.Name]
		if !known {
			c.note(Safe, what, "new: it reads %s from the start", list(g.Inputs))
			continue
		}
		old := c.was.group(name)
		if name != g.Name {
			c.note(NeedsReset, what, "it was group %s, which has the committed offsets: a group is named after the first of its tables, or else of its inputs; "+
				"another name for what is new keeps it", name)
		}
		reads := "it reads %s, too, from the start"
		if len(g.Inputs) > 1 {
			reads += "; its partitions must be as many as those of the other inputs"
		}
		c.list(what, old.Inputs, g.Inputs, reads,
			"it does not read %s any more; the rows that it has made of it stay")
		c.list(what, old.Outputs, g.Outputs,
			"it publishes to %s, too, from now on",
			"it does not publish to %s any more")
		c.list(what, old.Globals, g.Globals,
			"it looks at global table %s, too, which is read as a whole before it starts",
			"it does not look at global table %s any more")
	}
	for i := range c.was.Groups {
		if g := &c.was.Groups[i]; !c.followed(g.Name) {
			c.note(Safe, "group "+g.Name, "gone: its committed offsets stay until somebody deletes them")
		}
	}
}

// followed tells whether some new group stands for an old one.
func (c *comparison) followed(old string) bool {
	for _, name := range c.before {
		if name == old {
			return true
		}
	}
	return false
}

// list notes what has come to a list of names and what has gone, all safe.
func (c *comparison) list(what string, was, is []string, come, gone string) {
	if names := without(is, was); names != nil {
		c.note(Safe, what, come, list(names))
	}
	if names := without(was, is); names != nil {
		c.note(Safe, what, gone, list(names))
	}
}

func (c *comparison) globals() {
	for _, g := range c.is.Globals {
		i := slices.IndexFunc(c.was.Globals, func(old globalDescription) bool { return old.Store == g.Store })
		if i < 0 {
			continue // what looks at it tells
		}
		old, what := c.was.Globals[i], "global table "+g.Store
		if old.Topic != g.Topic {
			c.note(Safe, what, "it is of topic %s, was of %s: every instance reads it anew", g.Topic, old.Topic)
			continue
		}
		c.codecs(what, "its topic was written by it", old.Key, g.Key, old.Value, g.Value)
	}
}

func (c *comparison) topics() {
	for _, t := range c.is.Topics {
		i := slices.IndexFunc(c.was.Topics, func(old topicDescription) bool { return old.Name == t.Name })
		if i < 0 {
			continue // the groups that read and write it tell
		}
		old, what := c.was.Topics[i], "topic "+t.Name
		why := "its readers expect the old one"
		if t.Read {
			why = "what lies in it was written by the old one"
		}
		c.codecs(what, why, old.Key, t.Key, old.Value, t.Value)
		switch was, is := old.Repartition, t.Repartition; {
		case was == nil && is != nil:
			c.note(Breaking, what, "it becomes a repartition topic: what is processed is deleted from it; give that another name")
		case was != nil && is == nil:
			c.note(Safe, what, "it is no repartition topic any more: nothing is deleted from it")
		case was != nil && was.Partitions != is.Partitions:
			c.note(Breaking, what, "it is to have %s, had %s: a topic can't be repartitioned, and keys would come to tasks without their rows; give it another name, and reset what reads it",
				partitionsOf(is.Partitions), partitionsOf(was.Partitions))
		}
	}
	for _, old := range c.was.Topics {
		if old.Repartition != nil && !slices.ContainsFunc(c.is.Topics, func(t topicDescription) bool { return t.Name == old.Name }) {
			c.note(Safe, "topic "+old.Name, "gone: what lies in this repartition topic and was not processed never will be; it stays until somebody deletes it")
		}
	}
}

func partitionsOf(n int32) string {
	switch n {
	case 0:
		return "as many partitions as its readers need"
	case 1:
		return "1 partition"
	}
	return fmt.Sprintf("%d partitions", n)
}

// codecs notes codecs that have changed.
func (c *comparison) codecs(what, why, oldKey, key, oldValue, value string) {
	if plain(oldKey) != plain(key) {
		c.note(Breaking, what, "its keys are encoded by %s, were by %s: %s, and keys would be looked for in other partitions", key, oldKey, why)
	}
	if plain(oldValue) != plain(value) {
		c.note(Breaking, what, "its values are encoded by %s, were by %s: %s", value, oldValue, why)
	}
}

var packages = regexp.MustCompile(`\b\w+\.`)

// plain is a codec's name without the packages of its types, which may move.
func plain(codec string) string {
	name, types, ok := strings.Cut(codec, "[")
	if !ok {
		return codec
	}
	return name + "[" + packages.ReplaceAllString(types, "")
}

func (d *description) group(name string) *groupDescription {
	i := slices.IndexFunc(d.Groups, func(g groupDescription) bool { return g.Name == name })
	if i < 0 {
		return nil
	}
	return &d.Groups[i]
}

func (d *description) store(name string) *storeDescription {
	i := slices.IndexFunc(d.Stores, func(s storeDescription) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &d.Stores[i]
}

// without returns the names that others do not have.
func without(names, others []string) (left []string) {
	for _, name := range names {
		if !slices.Contains(others, name) {
			left = append(left, name)
		}
	}
	return left
}

func meet(names, others []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(others, name) })
}

// list writes names as text.
func list(names []string) string {
	switch n := len(names); {
	case n == 0:
		return "nothing"
	case n > 1:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return names[0]
}
