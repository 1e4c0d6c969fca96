package inputs

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/tidemark-dev/tidemark/internal/kafka"
)

// A reader reads what one broker leads. It ends when that is nothing any more.
type reader struct {
	fetcher *Fetcher
	broker  int32
	room    chan struct{} // an input has room for an answer
	fresh   atomic.Bool   // an input has come
}

func (r *reader) ring() { ring(r.room) }

func (r *reader) run() {
	f, wait := r.fetcher, shortPoll
	for f.ctx.Err() == nil {
		asked, all := r.led()
		switch {
		case asked == nil:
			return
		case r.fresh.Swap(false):
			wait = shortPoll
		}
		found := false
		if len(asked) > 0 {
			poll := wait
			if !all {
				poll = 0 // whose room comes meanwhile would have to wait
			}
			found = r.fetch(asked, poll)
		}
		switch {
		case found:
			wait = shortPoll
		case all:
			wait = min(2*wait, longPoll)
		default:
			r.nap()
		}
	}
}

// led returns the broker's inputs that have room for an answer, nil if it has no
// inputs, and whether those are all.
func (r *reader) led() (asked []*Input, all bool) {
	f := r.fetcher
	f.mu.Lock()
	defer f.mu.Unlock()
	all = true
	for in := range f.inputs {
		switch {
		case in.leader != r.broker:
		case in.full():
			all = false
		default:
			asked = append(asked, in)
		}
	}
	if all && asked == nil {
		delete(f.readers, r.broker)
		return nil, true
	}
	if asked == nil {
		asked = []*Input{}
	}
	return asked, all
}

// fetch asks for inputs once, and tells whether there was anything.
func (r *reader) fetch(asked []*Input, wait time.Duration) (found bool) {
	f := r.fetcher
	cursors := make([]*kafka.Cursor, len(asked))
	f.mu.Lock()
	for i, in := range asked {
		cursors[i] = in.cursor
	}
	f.mu.Unlock()
	done, over := context.WithCancel(f.ctx)
	defer over()
	defer time.AfterFunc(wait+overdue, func() { r.late(done, asked) }).Stop()
	broker, err := f.client.Broker(r.broker)
	if err != nil {
		err = errors.Join(err, f.client.RefreshMetadata()) // it is new
	} else {
		err = kafka.Fetch(broker, cursors, wait)
	}
	over()
	for i, in := range asked {
		if err != nil {
			f.fail(in, cursors[i], err)
			continue
		}
		batches, next, err := cursors[i].TakeBatches()
		if err != nil {
			f.fail(in, cursors[i], err)
			continue
		}
		found = found || next > cursors[i].Next
		cursors[i].Next = next
		r.deliver(in, cursors[i], batches)
	}
	return found
}

// deliver gives an input what its cursor has brought, unless another one has taken
// its place.
func (r *reader) deliver(in *Input, from *kafka.Cursor, batches []kafka.Batch) {
	f := r.fetcher
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inputs[in] && in.cursor == from {
		f.recovered(in)
		in.take(batches, from.Next, from.Stable)
	}
}

const overdue = time.Second

// late gives inputs whose leader moves to the readers of the new ones, while the old
// one, to which they have a request, does not answer.
func (r *reader) late(unanswered context.Context, asked []*Input) {
	f := r.fetcher
	for unanswered.Err() == nil {
		leaders, _ := f.leaders(unanswered, asked)
		for _, in := range asked {
			if leader, ok := leaders[in.topic][in.partition]; ok && leader.Broker != r.broker && unanswered.Err() == nil {
				f.lead(leader, in)
			}
		}
		_ = sleep(unanswered, overdue)
	}
}

// nap waits for room, and not for long: the broker may have got records of the
// inputs that have room.
func (r *reader) nap() {
	t := time.NewTimer(nap)
	defer t.Stop()
	select {
	case <-r.room:
	case <-t.C:
	case <-r.fetcher.ctx.Done():
	}
}
