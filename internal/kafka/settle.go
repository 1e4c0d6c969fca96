package kafka

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// An untaken is a batch that its leader has not taken, as far as it is known: it was
// refused, or the leader is another one, or the answer was lost. It is sent again
// with its sequence, so that a leader that has it does not take it twice.
type untaken struct {
	batch  batch
	leader *sarama.Broker // that it was sent to; nil if it was not sent
	err    error          // nil if it waits behind one that was not taken
}

// producePatience is how long the leader of a partition is looked for.
const producePatience = 25 * time.Second

// again tells whether a batch that was not taken for that reason is to be sent
// again: because of what is in it in smaller parts, because of its leader as it is.
func again(err error) bool {
	return blamesRecord(err) || moved(err) || lost(err) || errors.Is(err, sarama.ErrUnknownTopicOrPartition)
}

// answered notes what became of a batch. What is refused for its sequence may be
// behind another one that was not taken; Flush looks at that.
func (p *Producer) answered(b batch, leader *sarama.Broker, err error) {
	if err == nil {
		return
	}
	if !again(err) && !errors.Is(err, sarama.ErrOutOfOrderSequenceNumber) {
		p.fail(err)
		return
	}
	p.acks.Lock()
	defer p.acks.Unlock()
	p.untaken = append(p.untaken, untaken{b, leader, err})
}

// keepBehind keeps a batch whose partition has not taken another one before it.
func (p *Producer) keepBehind(b batch) bool {
	p.acks.Lock()
	defer p.acks.Unlock()
	if !slices.ContainsFunc(p.untaken, func(u untaken) bool { return u.batch.at == b.at }) {
		return false
	}
	p.untaken = append(p.untaken, untaken{batch: b})
	return true
}

// A line is what a partition has not taken, in order. What is first decides.
type line struct {
	batches []batch
	leader  *sarama.Broker // that refused the first, or lost it
	err     error          // why the first was not taken; nil if it can be sent
	since   time.Time      // when the partition has last taken something
}

// lines takes what was not taken, by partition.
func (p *Producer) lines() map[place]*line {
	p.acks.Lock()
	defer p.acks.Unlock()
	slices.SortFunc(p.untaken, func(a, b untaken) int { return cmp.Compare(a.batch.number, b.batch.number) })
	lines := map[place]*line{}
	for _, u := range p.untaken {
		l := lines[u.batch.at]
		if l == nil {
			l = &line{leader: u.leader, err: u.err, since: time.Now()}
			lines[u.batch.at] = l
		}
		l.batches = append(l.batches, u.batch)
	}
	p.untaken = nil
	return lines
}

// settle sends what was not taken again, to the leaders of now: in order, and one
// batch of a partition at a time.
func (p *Producer) settle() error {
	for lines := p.lines(); len(lines) > 0; {
		if err := p.prepare(lines); err != nil {
			return err
		}
		out := p.outgoing()
		for _, l := range lines {
			out.add(l.batches[0])
		}
		out.send()
		p.await()
		if err := p.failed(); err != nil {
			return err
		}
		refused := p.lines()
		for at, l := range lines {
			if r := refused[at]; r != nil {
				l.leader, l.err = r.leader, r.err
				continue
			}
			l.batches, l.err, l.since = l.batches[1:], nil, time.Now()
			if len(l.batches) == 0 {
				delete(lines, at)
			}
		}
	}
	return p.failed()
}

// prepare has the first batch of each line be taken the next time: it splits what is
// too large, down to one record, which is then to blame, and looks for leaders.
func (p *Producer) prepare(lines map[place]*line) error {
	var topics []string
	for _, l := range lines {
		switch {
		case l.err == nil:
		case blamesRecord(l.err):
			first := l.batches[0]
			if len(first.records) == 1 {
				r := first.records[0]
				return &RefusedError{Topic: first.at.topic, Partition: first.at.partition, Key: r.Key, Value: r.Value, Err: l.err}
			}
			halves := first.halves()
			l.batches = append(halves[:], l.batches[1:]...)
		case !again(l.err) || time.Since(l.since) > producePatience:
			return l.err
		default:
			if l.leader != nil && lost(l.err) {
				_ = l.leader.Close() // the next Leader opens it again
			}
			topics = append(topics, l.batches[0].at.topic)
		}
	}
	if len(topics) == 0 {
		return nil
	}
	if err := pause(p.ctx, movedPause); err != nil {
		return err
	}
	slices.Sort(topics)
	p.findLeaders(slices.Compact(topics))
	return nil
}

// findLeaders asks who leads the partitions of topics now. If nobody says so, the
// batches go to the leaders that are known, and may come back.
func (p *Producer) findLeaders(topics []string) {
	all, err := Leaders(p.ctx, p.client, topics)
	if err != nil {
		return
	}
	for topic, of := range all {
		for partition, leader := range of {
			at := place{topic, partition}
			if known, ok := p.leaders[at]; !ok || leader.Epoch >= known.Epoch {
				p.leaders[at] = leader
			}
			if _, err := p.client.Broker(leader.Broker); err != nil { // it is new
				_ = Topics{p.client}.Refresh(p.ctx, topic)
			}
		}
	}
}

// leader is the broker that leads a partition, as far as it is known.
func (p *Producer) leader(at place) (*sarama.Broker, error) {
	if known, ok := p.leaders[at]; ok {
		if b, err := p.client.Broker(known.Broker); err == nil {
			return b, nil
		}
	}
	return p.client.Leader(at.topic, at.partition)
}
