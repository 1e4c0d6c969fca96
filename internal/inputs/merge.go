package inputs

import (
	"slices"
	"time"

	"github.com/tidemark-dev/tidemark/topology"
)

// A Merge gives a task the records of its inputs in the order of their times, as
// Kafka Streams' PartitionGroup does: the one with the smallest time among the
// first ones of all inputs comes next. One goroutine uses it.
//
// An input of which nothing is here may have older records on its broker. The
// others wait until the broker has said that it has none, and then for MaxIdle.
type Merge struct {
	Inputs  []*Input
	MaxIdle time.Duration                // negative: nobody waits
	Time    func(topology.Raw) time.Time // of a record, if there are several inputs
}

// Ready tells whether a record can be taken, and if not, when to ask again even if
// nothing arrives, 0 for never.
func (m *Merge) Ready(now time.Time) (ready bool, again time.Duration) {
	if len(m.Inputs) == 1 {
		return m.Inputs[0].fill(), 0
	}
	for _, in := range m.Inputs {
		ready = in.fill() || ready
	}
	for _, in := range m.Inputs {
		if len(in.batches) > 0 {
			in.dry = time.Time{}
			continue
		}
		excused, wait := m.missing(in, now)
		in.excused, ready = excused, ready && excused
		if wait > 0 && (again == 0 || wait < again) {
			again = wait
		}
	}
	return ready, again
}

// missing tells whether others can go on without an input of which nothing is here,
// and else when to ask again whatever arrives.
func (m *Merge) missing(in *Input, now time.Time) (excused bool, again time.Duration) {
	switch {
	case m.MaxIdle < 0:
		return true, 0
	case !in.empty():
		in.dry = time.Time{}
		return false, 0
	case in.dry.IsZero():
		in.dry = now
	}
	left := in.dry.Add(m.MaxIdle).Sub(now)
	return left <= 0, max(0, left)
}

// Next returns the input whose first record is next, nil if that is not known.
func (m *Merge) Next() (first *Input) {
	if len(m.Inputs) == 1 {
		if in := m.Inputs[0]; in.fill() {
			return in
		}
		return nil
	}
	for _, in := range m.Inputs {
		if !in.fill() {
			if !in.excused {
				return nil
			}
			continue
		}
		if !in.looked {
			in.when = m.Time(*in.Record())
		}
		if first == nil || in.when.Before(first.when) {
			first = in
		}
	}
	return first
}

// Coming tells whether a fetch is known to bring more of an input of which nothing
// is here.
func (m *Merge) Coming() bool { return slices.ContainsFunc(m.Inputs, (*Input).coming) }

// Behind returns how many offsets are still to process.
func (m *Merge) Behind() (n int64) {
	for _, in := range m.Inputs {
		n += max(0, in.end()-in.next)
	}
	return n
}

// Awaited returns the inputs that hold up records of others, after Ready has
// returned false.
func (m *Merge) Awaited() (late []*Input) {
	held := false
	for _, in := range m.Inputs {
		if len(in.batches) > 0 {
			held = true
		} else if !in.excused {
			late = append(late, in)
		}
	}
	if !held {
		return nil
	}
	return late
}
