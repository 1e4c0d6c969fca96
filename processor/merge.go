package processor

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/topology"
)

// A merge takes the records of several inputs in the order of their times, as
// Kafka Streams' PartitionGroup does: that of the smallest time among the first
// ones of all inputs comes next. What is to be done about an input of which
// nothing has arrived is [feed.missing]'s to say.
//
// The pump decides whether a record can be taken, goka's callback takes it and
// those behind it. Never do both run.
type merge struct {
	*task
	feeds []*feed
	over  bool        // a claim was closed
	idle  atomic.Bool // there is nothing to take
}

// A feed is what has arrived of an input and is not yet processed.
type feed struct {
	*input
	m      *merge
	queue  []*sarama.ConsumerMessage // off the claim; before at they are processed
	at     int
	paused bool

	head topology.Raw // queue[at], if it was looked at
	time time.Time    // of head
	seen bool         // head is

	awaited bool  // it is said that others wait for it
	absence       // while nothing is queued
	bare    int64 // before it there is nothing that has not arrived
	looked  int64 // the end up to which that was looked at
}

const (
	feedSize  = 1000 // records of an input that waits for others
	nearEnd   = 1000 // offsets from the end within which it is asked what is there
	fetchTime = 100 * time.Millisecond
)

func newMerge(t *task) *merge {
	m := &merge{task: t}
	for _, in := range t.inputs {
		m.feeds = append(m.feeds, &feed{input: in, m: m})
	}
	return m
}

// run hands over what can be taken, and waits when nothing can.
func (m *merge) run(p *pump) {
	defer m.resume()
	for !m.over && p.ctx.Err() == nil {
		ready, again := m.ready(time.Now())
		m.say(ready)
		switch {
		case m.over:
		case !ready:
			m.idle.Store(true)
			ok := m.wait(p, again)
			m.idle.Store(false)
			if !ok {
				return
			}
		case !m.room() || !p.whole(m.take):
			return
		}
		select {
		case <-p.timer.C:
			if !p.advance() {
				return
			}
		default:
		}
	}
}

// say says which inputs are waited for while others have records, if nothing can be
// taken.
func (m *merge) say(ready bool) {
	held := !ready && slices.ContainsFunc(m.feeds, func(f *feed) bool { return f.queued() > 0 })
	for _, f := range m.feeds {
		late := held && f.queued() == 0 && !f.excused
		if late == f.awaited {
			continue
		}
		what, place := "records of input "+f.topic, strconv.Itoa(int(m.partition))
		if f.awaited = late; !late {
			m.waits.Clear(what, place)
			continue
		}
		m.waits.Expect(what, place, fmt.Sprintf("partition %d of other inputs has records, and older ones may still come of this one: is its leader away? If it is only empty, MaxTaskIdle, %v, bounds the wait", m.partition, m.config.MaxTaskIdle))
	}
}

// ready tells whether a record can be taken, and if not, when to ask again
// whatever arrives, 0 for never.
func (m *merge) ready(now time.Time) (ready bool, again time.Duration) {
	for _, f := range m.feeds {
		ready = f.fill() || ready
	}
	needed := ready || m.config.MaxTaskIdle > 0
	for _, f := range m.feeds {
		if f.paused && f.queued() < feedSize/2 {
			f.pause(false)
		}
		if f.queued() > 0 {
			f.absence = absence{}
			continue
		}
		excused, wait := f.missing(now, needed)
		f.excused, ready = excused, ready && excused
		if wait > 0 && (again == 0 || wait < again) {
			again = wait
		}
	}
	return ready, again
}

// take processes records while it is known which one is next.
func (m *merge) take() {
	m.gate.RLock()
	defer m.gate.RUnlock()
	if m.closed || m.session.ctx.Err() != nil {
		return
	}
	n := 0
	for ; n < batchSize && !m.full(); n++ {
		f := m.next()
		if f == nil {
			break
		}
		if err := m.record(f.head); err != nil {
			m.fail(err)
			return
		}
		f.pass()
	}
	if n > 0 {
		m.processed(n)
	}
}

// next returns the feed whose head is next, nil if that is not known.
func (m *merge) next() (first *feed) {
	for _, f := range m.feeds {
		if !f.fill() {
			if !f.excused {
				return nil
			}
			continue
		}
		f.look()
		if first == nil || f.time.Before(first.time) {
			first = f
		}
	}
	return first
}

// wait returns when something has arrived, or when it is time to look again. It
// goes on taking records off their claims, and pauses those that have many: a
// claim that is not read would hold up the very fetch that is waited for.
func (m *merge) wait(p *pump, again time.Duration) bool {
	cases := []reflect.SelectCase{
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(p.ctx.Done())},
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(p.timer.C)},
		{Dir: reflect.SelectRecv},
	}
	if again > 0 {
		alarm := time.NewTimer(again)
		defer alarm.Stop()
		cases[2].Chan = reflect.ValueOf(alarm.C)
	}
	for _, f := range m.feeds {
		if !f.paused && f.queued() >= feedSize {
			f.pause(true)
		}
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(f.claim.Messages())})
	}
	switch i, message, ok := reflect.Select(cases); i {
	case 0:
		return false
	case 1:
		return p.advance()
	case 2:
		return true
	default:
		m.feeds[i-3].arrived(message.Interface().(*sarama.ConsumerMessage), ok)
		return !m.over
	}
}

// resume leaves no claim paused: sarama would remember it for the next task.
func (m *merge) resume() {
	m.say(true)
	for _, f := range m.feeds {
		if f.paused {
			f.pause(false)
		}
	}
}

func (f *feed) pause(on bool) {
	claim := map[string][]int32{f.topic: {f.claim.Partition()}}
	if f.paused = on; on {
		f.m.fetch.Pause(claim)
	} else {
		f.m.fetch.Resume(claim)
	}
}

func (f *feed) queued() int { return len(f.queue) - f.at }

// fill takes what has arrived off the claim if nothing is queued. It tells
// whether something is.
func (f *feed) fill() bool {
	if f.queued() > 0 {
		return true
	}
	if len(f.claim.Messages()) > 0 {
		m, ok := <-f.claim.Messages()
		f.arrived(m, ok)
	}
	return f.queued() > 0
}

// arrived queues a record and those that have arrived behind it.
func (f *feed) arrived(m *sarama.ConsumerMessage, ok bool) {
	if !ok {
		f.m.over = true
		return
	}
	more := gather(m, f.claim.Messages())
	if f.queued() == 0 {
		f.queue, f.at = more, 0
		return
	}
	f.queue = append(f.queue, more...)
}

// look finds out about the first record.
func (f *feed) look() {
	if f.seen {
		return
	}
	f.head, f.seen = rawOf(f.queue[f.at]), true
	f.time = f.m.happened(f.head)
}

// happened is when a record happened. If the topology can't say it will refuse
// the record, too.
func (t *task) happened(r topology.Raw) (at time.Time) {
	defer func() {
		if recover() != nil {
			at = r.Time
		}
	}()
	return t.core.Time(r)
}

// pass goes on behind the first record, which is processed.
func (f *feed) pass() {
	f.next = f.head.Offset + 1
	f.head, f.seen = topology.Raw{}, false
	f.queue[f.at] = nil
	f.at++
}
