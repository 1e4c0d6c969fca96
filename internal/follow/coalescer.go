package follow

import (
	"cmp"

	"github.com/tidemark-dev/tidemark/topology"
)

// The most that is written to a sink in one step, unless that is one row.
const (
	stepRows  = 1000
	stepBytes = 1 << 20
)

// A coalescer gathers the rows of a step, and keeps the last one of each key.
type coalescer struct {
	rows []topology.Raw
	last map[string]int
	size int
	seen int
	most int // rows of a step since the sink has refused a larger one; 0 for stepRows
}

// fits reports whether a row may be added to what there is.
func (c *coalescer) fits(r topology.Raw) bool {
	return len(c.rows) == 0 || c.size+len(r.Key)+len(r.Value) <= stepBytes
}

func (c *coalescer) add(r topology.Raw) {
	if c.last == nil {
		c.last = make(map[string]int, stepRows)
	}
	c.seen++
	if i, ok := c.last[string(r.Key)]; ok {
		c.size += len(r.Value) - len(c.rows[i].Value)
		c.rows[i] = r
		return
	}
	c.last[string(r.Key)] = len(c.rows)
	c.rows = append(c.rows, r)
	c.size += len(r.Key) + len(r.Value)
}

func (c *coalescer) full() bool {
	return len(c.rows) >= cmp.Or(c.most, stepRows) || c.size > stepBytes || c.seen >= 20*stepRows
}

// take returns the rows, which are valid until the next add.
func (c *coalescer) take() []topology.Raw {
	rows := c.rows
	c.rows, c.size, c.seen = c.rows[:0], 0, 0
	clear(c.last)
	return rows
}

// narrow makes the next steps half as large as one that the sink has refused.
func (c *coalescer) narrow() {
	c.most = max(1, cmp.Or(c.most, stepRows)/2)
	c.reset()
}

// widen makes them larger again, step by step.
func (c *coalescer) widen() {
	if c.most *= 2; c.most >= stepRows {
		c.most = 0
	}
}

// reset lets go of the fetched records.
func (c *coalescer) reset() {
	clear(c.rows[:cap(c.rows)])
	c.take()
}
