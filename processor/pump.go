package processor

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// A pump hands the task's work to goka, one callback for each turn: a batch of
// records, or timers that are due. It waits for the end of each turn, so that the
// task's inputs are used by one goroutine at a time.
type pump struct {
	task    *task
	ctx     context.Context // ends with the task, or its claims
	turn    func(f func()) bool
	timer   *time.Timer     // when Advance is due; stopped if it never is
	awaited map[string]bool // inputs of which it is said that others wait for them
}

const batchSize = 256 // records of a turn

// pumpTurns works until ctx is done, or sarama ends a claim of the task.
func pumpTurns(ctx context.Context, t *task, turn func(f func()) bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.claimed, cancel)()
	p := &pump{task: t, ctx: ctx, turn: turn, timer: time.NewTimer(time.Hour), awaited: map[string]bool{}}
	p.timer.Stop()
	defer p.timer.Stop()
	defer p.say(true)
	p.schedule()
	p.run()
}

// run hands over what can be taken, and waits when nothing can.
func (p *pump) run() {
	t := p.task
	for p.ctx.Err() == nil {
		ready, again := t.look()
		p.say(ready)
		switch {
		case !ready:
			t.rest()
			p.wait(again)
		case !t.room():
			return
		default:
			t.idle.Store(false)
			p.turn(t.take)
		}
		select {
		case <-p.timer.C:
			p.advance()
		default:
		}
	}
}

// wait returns when something has arrived, or when it is time to look again.
func (p *pump) wait(again time.Duration) {
	var alarm <-chan time.Time
	if again > 0 {
		timer := time.NewTimer(again)
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-p.task.arrived:
	case <-alarm:
	case <-p.timer.C:
		p.advance()
	case <-p.ctx.Done():
	}
}

// say says which inputs are waited for while others have records.
func (p *pump) say(ready bool) {
	t := p.task
	late := map[string]bool{}
	if !ready {
		for _, in := range t.merge.Awaited() {
			late[in.Topic()] = true
		}
	}
	place := strconv.Itoa(int(t.partition))
	for topic := range p.awaited {
		if !late[topic] {
			t.processor.waits.Clear("records of input "+topic, place)
		}
	}
	for topic := range late {
		if !p.awaited[topic] {
			t.processor.waits.Expect("records of input "+topic, place, fmt.Sprintf("partition %d of other inputs has records, and older ones may still come of this one: is its leader away? If it is only empty, MaxTaskIdle, %v, bounds the wait", t.partition, t.processor.config.MaxTaskIdle))
		}
	}
	p.awaited = late
}

// advance runs the timers that are due.
func (p *pump) advance() {
	if p.turn(p.task.advance) {
		p.schedule()
	}
}

// schedule sets the timer.
func (p *pump) schedule() {
	if at, ok := p.task.core.NextAdvance(); ok {
		p.timer.Reset(time.Until(at))
	}
}
