package processor

import (
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/topology"
)

// A pump hands the task's work to goka, one callback for each turn: a batch of
// records, or timers that are due. While no turn is under way the task is the
// pump's.
type pump struct {
	*task
	core  *topology.Task // the task gives its own up when goka ends it, which may be before the pump ends
	out   chan *sarama.ConsumerMessage
	timer *time.Timer // when Advance is due; stopped if it never is
}

const batchSize = 256

// pump starts the pump. What it returns is closed when a claim is, or when the
// task ends.
func (t *task) pump() chan *sarama.ConsumerMessage {
	p := &pump{task: t, core: t.core, out: make(chan *sarama.ConsumerMessage), timer: time.NewTimer(time.Hour)}
	p.timer.Stop()
	go func() {
		defer close(p.out)
		defer p.timer.Stop()
		p.schedule()
		if t.merge != nil {
			t.merge.run(p)
			return
		}
		p.run()
	}()
	return p.out
}

// run hands over what arrives of the task's only input.
func (p *pump) run() {
	in := p.inputs[0].claim.Messages()
	for {
		select {
		case m, ok := <-in:
			if !ok {
				return
			}
			batch := gather(m, in)
			if !p.turn(func() { p.process(batch) }) {
				return
			}
		case <-p.timer.C:
			if !p.advance() {
				return
			}
		case <-p.ctx.Done():
			return
		}
	}
}

// gather returns a record and what has arrived behind it.
func gather(m *sarama.ConsumerMessage, in <-chan *sarama.ConsumerMessage) []*sarama.ConsumerMessage {
	batch := append(make([]*sarama.ConsumerMessage, 0, min(batchSize, len(in)+1)), m)
	for len(batch) < cap(batch) {
		m, ok := <-in
		if !ok {
			break
		}
		batch = append(batch, m)
	}
	return batch
}

// turn has goka call f back. It returns false if the task is over.
func (p *pump) turn(f func()) bool {
	select {
	case p.turns <- f:
	case <-p.ctx.Done():
		return false
	}
	select {
	case p.out <- &sarama.ConsumerMessage{Topic: p.stream(), Partition: p.partition, Value: []byte{1}}: // with a value, or it would be left out
		return true
	case <-p.ctx.Done():
		return false
	}
}

// whole is a turn, and those before it, to their end.
func (p *pump) whole(f func()) bool {
	done := make(chan struct{})
	if !p.turn(func() { defer close(done); f() }) {
		return false
	}
	select {
	case <-done:
		return p.ctx.Err() == nil
	case <-p.ctx.Done():
		return false
	}
}

// advance runs the timers that are due.
func (p *pump) advance() bool {
	if !p.whole(p.task.advance) {
		return false
	}
	p.schedule()
	return true
}

// schedule sets the timer.
func (p *pump) schedule() {
	if at, ok := p.core.NextAdvance(); ok {
		p.timer.Reset(time.Until(at))
	}
}
