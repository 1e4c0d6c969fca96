package topologytest

import "time"

// At sets the time of the records that are sent from now on; it may go back.
func (d *Driver) At(event time.Time) { d.event = event }

// Advance moves the time of day on. Timers by it run each at its time, as they do
// in a process that is up all the while, and not once at the end.
func (d *Driver) Advance(by time.Duration) {
	d.t.Helper()
	if by < 0 {
		d.t.Fatalf("advance by %v: the time of day does not go back", by)
	}
	end := d.wall.Add(by)
	for {
		next, at := (*task)(nil), end
		for _, k := range d.tasks {
			// Of two that are due at one time, the first of the topology.
			if due, timed := k.NextAdvance(); timed && (due.Before(at) || next == nil && due.Equal(at)) {
				next, at = k, due
			}
		}
		if next == nil {
			break
		}
		if at.After(d.wall) {
			d.wall = at.UTC()
		}
		d.advance(next)
	}
	d.wall = end
}

// advance runs the timers of a task that are due now.
func (d *Driver) advance(k *task) {
	d.t.Helper()
	w, err := k.Advance(d.wall)
	d.take(k, w, err)
	d.run()
}
