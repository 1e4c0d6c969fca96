package processor

import (
	"context"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// A pump hands the task's work to goka, one callback for each turn: a batch of
// records, or timers that are due. While no turn is under way the task is the
// pump's.
type pump struct {
	*task
	ctx     context.Context // ends with the task, or by stop
	cancel  context.CancelFunc
	running sync.WaitGroup
	out     chan *sarama.ConsumerMessage // closed when a claim is, or ctx ends
	timer   *time.Timer                  // when Advance is due; stopped if it never is
}

const batchSize = 256

// startPump starts the pump of an open task.
func startPump(t *task) *pump {
	p := &pump{task: t, out: make(chan *sarama.ConsumerMessage), timer: time.NewTimer(time.Hour)}
	p.ctx, p.cancel = context.WithCancel(t.ctx)
	p.timer.Stop()
	p.running.Go(func() {
		defer close(p.out)
		defer p.timer.Stop()
		p.schedule()
		if t.merge != nil {
			t.merge.run(p)
			return
		}
		p.run()
	})
	return p
}

// stop returns when the pump has ended.
func (p *pump) stop() {
	p.cancel()
	p.running.Wait()
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
