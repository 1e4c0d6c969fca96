package plan

import "cmp"

// stores compares the stores of groups that were there before. Those of a new
// group begin with it.
func (c *comparison) stores() {
	for i := range c.is.Stores {
		s := &c.is.Stores[i]
		what := "store " + s.Name
		if old := c.was.store(s.Name); old != nil {
			c.moved(what, old, s)
			c.rows(what, old, s)
			c.made(what, old, s)
			c.sinks(old, s)
		} else if name, known := c.before[s.Group]; known {
			c.added(what, s, c.was.group(name))
		}
	}
	for i := range c.was.Stores {
		s := &c.was.Stores[i]
		if c.is.store(s.Name) == nil {
			c.note(Safe, "store "+s.Name, "gone: its changelog topic %s stays until somebody deletes it, and would fill a store of this name with old rows", s.Changelog)
		}
	}
}

// added notes a store that an old group did not have.
func (c *comparison) added(what string, s *storeDescription, old *groupDescription) {
	read := without(s.Sources, without(s.Sources, old.Inputs)) // those that the group has read
	if len(read) == 0 {
		c.note(Safe, what, "new: it is filled from the start of %s", list(s.Sources))
		return
	}
	c.note(NeedsReset, what, "new, in a group that has read %s before: it starts empty, and holds only what comes from now on", list(read))
}

// moved notes that another group keeps the store, unless that one only has
// another name.
func (c *comparison) moved(what string, old, s *storeDescription) {
	if before := c.before[s.Group]; before != old.Group {
		c.note(NeedsReset, what, "group %s keeps it, was %s, which has the committed offsets: what made its rows would be read again", s.Group, old.Group)
	}
}

// rows compares what rows look like and how long they stay.
func (c *comparison) rows(what string, old, s *storeDescription) {
	c.codecs(what, "its changelog was written by the old one", old.Key, s.Key, old.Value, s.Value)
	if old.Windows != s.Windows {
		c.note(NeedsReset, what, "its windows are %s, were %s: what it holds is of the old ones",
			cmp.Or(s.Windows, "none"), cmp.Or(old.Windows, "none"))
	} else if old.Grace != s.Grace {
		c.note(Safe, what, "its grace is %s, was %s: from now on", cmp.Or(s.Grace, "none"), cmp.Or(old.Grace, "none"))
	}
	if old.TTL != s.TTL {
		c.note(Safe, what, "its rows live for %s, was %s; those that are due now go soon", cmp.Or(s.TTL, "ever"), cmp.Or(old.TTL, "ever"))
	}
	switch {
	case s.EveryChange && !old.EveryChange:
		c.note(Safe, what, "its changelog gets every change, was the last one of a commit")
	case !s.EveryChange && old.EveryChange:
		c.note(Safe, what, "its changelog gets the last change of a commit, was every change")
	}
}

// made compares what makes the rows.
func (c *comparison) made(what string, old, s *storeDescription) {
	if !meet(old.KeptBy, s.KeptBy) {
		c.note(NeedsReset, what, "it is kept by %s, was by %s: the rows that are there were made otherwise", list(s.KeptBy), list(old.KeptBy))
	}
	if gone := without(old.Sources, s.Sources); gone != nil {
		c.note(NeedsReset, what, "it is not made from %s any more, and holds what was: it is made from %s", list(gone), list(s.Sources))
		return
	}
	come := without(s.Sources, old.Sources)
	if group := c.was.group(c.before[s.Group]); group != nil && meet(come, group.Inputs) {
		c.note(NeedsReset, what, "it is made from %s, too, which its group has read before: it misses what was", list(come))
	}
}

func (c *comparison) sinks(old, s *storeDescription) {
	for _, sink := range without(s.Sinks, old.Sinks) {
		c.note(Safe, "sink "+sink, "new: it is filled from table %s", s.Name)
	}
	for _, sink := range without(old.Sinks, s.Sinks) {
		c.note(Safe, "sink "+sink, "gone: it does not follow table %s any more, and what it holds stays", s.Name)
	}
}
