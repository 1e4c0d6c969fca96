package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Partitions returns how many partitions every topic of the application has or
// is to have, given the counts of those that exist: of inputs and outputs, of
// repartition topics and of changelogs. A repartition topic that does not say
// how many it wants gets as many as the topics that its reader reads beside it,
// or else as the largest of its writers' inputs has.
//
// The error lists every topic that is missing and not tidemark's to create,
// every group that keeps rows and whose inputs differ, and every topic of
// tidemark's that exists with another count than it is to have.
func (p *Plan) Partitions(known map[string]int32) (all map[string]int32, err error) {
	c := counting{plan: p, known: known, all: map[string]int32{}, ours: map[string]int32{}}
	c.take()
	c.derive()
	c.check()
	if err := errors.Join(c.errs...); err != nil {
		return nil, err
	}
	return c.all, nil
}

// A counting works out how many partitions topics have.
type counting struct {
	plan  *Plan
	known map[string]int32
	all   map[string]int32
	ours  map[string]int32 // what repartition topics want, 0 for what they need
	errs  []error
}

func (c *counting) wrong(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}

// repartitions returns the topics that are ours to create.
func (c *counting) repartitions() (topics []Topic) {
	for _, t := range c.plan.Topics {
		if t.Repartition != nil {
			topics = append(topics, t)
		}
	}
	return topics
}

// take takes what is given: by the topics that exist, and by repartition topics
// that say what they want.
func (c *counting) take() {
	for _, t := range c.repartitions() {
		n := t.Repartition.Partitions
		c.ours[t.Name] = n
		if n > 0 {
			c.all[t.Name] = n
		}
	}
	missing := map[string]bool{}
	take := func(role, topic string) {
		n, exists := c.known[topic]
		_, ours := c.ours[topic]
		switch {
		case ours:
		case exists:
			c.all[topic] = n
		case !missing[topic]:
			missing[topic] = true
			c.wrong("%s topic %q does not exist: create it, with as many partitions as instances may share", role, topic)
		}
	}
	for i := range c.plan.Groups {
		g := &c.plan.Groups[i]
		for _, topic := range g.Inputs {
			take("input", topic)
		}
		for _, topic := range g.Outputs {
			take("output", topic)
		}
	}
	for _, g := range c.plan.Globals {
		take("input", g.Topic)
	}
}

// derive works out the repartition topics that do not say what they want. Those
// whose records must meet are worked out together.
func (c *counting) derive() {
	var open [][]string
	for _, bound := range c.bound() {
		n := c.beside(bound, true)
		if n == 0 {
			n = c.beside(bound, false)
		}
		if n == 0 {
			open = append(open, bound)
		}
		c.set(bound, n)
	}
	for len(open) > 0 {
		i := slices.IndexFunc(open, func(bound []string) bool { _, all := c.upstream(bound); return all })
		if i < 0 { // what feeds itself is content with what is known
			i = slices.IndexFunc(open, func(bound []string) bool { n, _ := c.upstream(bound); return n > 0 })
		}
		if i < 0 {
			return // of topics that are missing
		}
		n, _ := c.upstream(open[i])
		c.set(open[i], n)
		open = slices.Delete(open, i, i+1)
	}
}

func (c *counting) set(topics []string, n int32) {
	for _, topic := range topics {
		if n > 0 {
			c.all[topic] = n
		}
	}
}

// bound returns the repartition topics without a count, those together that
// groups with rows read together.
func (c *counting) bound() (sets [][]string) {
	for _, t := range c.repartitions() {
		if c.all[t.Name] == 0 {
			sets = append(sets, []string{t.Name})
		}
	}
	for i := range c.plan.Groups {
		g := &c.plan.Groups[i]
		if len(g.Stores) == 0 {
			continue
		}
		var joined []string
		sets = slices.DeleteFunc(sets, func(set []string) bool {
			if !g.readsAny(set) {
				return false
			}
			joined = append(joined, set...)
			return true
		})
		if joined != nil {
			sets = append(sets, joined)
		}
	}
	return sets
}

// readsAny tells whether one of the topics is an input of the group.
func (g *Group) readsAny(topics []string) bool {
	return slices.ContainsFunc(topics, func(topic string) bool { return slices.Contains(g.Inputs, topic) })
}

// beside returns the largest count of what is read beside the topics, by groups
// with rows or without: of topics that are not ours, or else of those that say
// what they want.
func (c *counting) beside(topics []string, rows bool) int32 {
	var foreign, wanted int32
	for i := range c.plan.Groups {
		g := &c.plan.Groups[i]
		if len(g.Stores) > 0 != rows || !g.readsAny(topics) {
			continue
		}
		for _, in := range g.Inputs {
			if _, ours := c.ours[in]; ours {
				wanted = max(wanted, c.all[in])
			} else {
				foreign = max(foreign, c.all[in])
			}
		}
	}
	if foreign > 0 {
		return foreign
	}
	return wanted
}

// upstream returns the largest count among the inputs of the groups that publish
// to the topics, and whether it knows all of them.
func (c *counting) upstream(topics []string) (n int32, all bool) {
	all = true
	for i := range c.plan.Groups {
		g := &c.plan.Groups[i]
		if !slices.ContainsFunc(topics, func(topic string) bool { return slices.Contains(g.Outputs, topic) }) {
			continue
		}
		for _, in := range g.Inputs {
			n = max(n, c.all[in])
			all = all && (c.all[in] > 0 || slices.Contains(topics, in))
		}
	}
	return n, all
}

// check compares what must be alike, and gives changelogs their counts.
func (c *counting) check() {
	for _, t := range c.repartitions() {
		is, exists := c.known[t.Name]
		if want := c.all[t.Name]; exists && want > 0 && is != want {
			c.wrong("repartition topic %q has %d partitions, and is to have %d: let it be read to its end, delete it and start again, or set Partitions: %d on the topic",
				t.Name, is, want, is)
		}
	}
	for i := range c.plan.Groups {
		g := &c.plan.Groups[i]
		if len(g.Stores) > 0 && c.alike(g) {
			c.checkChangelogs(g)
		}
	}
}

// alike tells whether the inputs of a group have as many partitions as each
// other, and refuses those that do not.
func (c *counting) alike(g *Group) bool {
	var each, wanting []string
	counts, foreign := map[int32]bool{}, map[int32]bool{}
	for _, topic := range g.Inputs {
		n := c.all[topic]
		if n == 0 {
			return false // it is missing, or depends on one that is
		}
		counts[n] = true
		each = append(each, fmt.Sprintf("%q has %d", topic, n))
		if wanted, ours := c.ours[topic]; !ours {
			foreign[n] = true
		} else if wanted > 0 {
			wanting = append(wanting, topic)
		}
	}
	if len(counts) == 1 {
		return true
	}
	advice := "send some of them through Repartition"
	if len(foreign) < 2 && len(wanting) > 0 {
		advice = "change Partitions of " + quoted(wanting)
	}
	c.wrong("group %s: its inputs must have as many partitions as each other, for what belongs together to meet: %s: %s",
		g.Name, strings.Join(each, ", "), advice)
	return false
}

func (c *counting) checkChangelogs(g *Group) {
	n := c.all[g.Inputs[0]]
	for _, s := range g.Stores {
		if is, exists := c.known[s.Changelog]; exists && is != n {
			c.wrong("changelog topic %q has %d partitions, but its input %q has %d: a table cannot be repartitioned, start it under another name",
				s.Changelog, is, g.Inputs[0], n)
		}
		c.all[s.Changelog] = n
	}
}

// quoted lists names.
func quoted(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(q, ", ")
}
