package inputs

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
)

// A Fetcher reads inputs: of each broker by one goroutine, which asks for all inputs
// that the broker leads with one request, over a connection of its own. What a
// broker does or does not do concerns its own inputs only.
//
// Its lock is taken before that of an input.
type Fetcher struct {
	client sarama.Client // for nobody else: a request waits for records
	told   func(in *Input, err error, since time.Time) error
	ctx    context.Context
	end    context.CancelFunc
	lost   chan struct{} // some input has no leader

	running sync.WaitGroup

	mu      sync.Mutex
	inputs  map[*Input]bool
	readers map[int32]*reader // by broker
}

const (
	nobody     = -1                     // leads an input that is to be located
	answerSize = 256 << 10              // of an input, in bytes; an input has two answers in memory at most
	longPoll   = 250 * time.Millisecond // how long a new input, or the end, waits for the present request
	shortPoll  = time.Millisecond       // of the first request; each that brings nothing doubles it
	nap        = 10 * time.Millisecond  // between requests that bring nothing while an input has no room
	retryPause = 250 * time.Millisecond
)

// StaleLeader is how long a broker that stood still may take itself for the leader, and
// its log for the newest. What says so for longer is true: the topic was made anew.
const StaleLeader = 10 * time.Second

// NewFetcher returns a Fetcher that uses a client, which nobody else does. told is
// called whenever an input cannot be read, with the time since when that is so for the
// same reason, and with nil when it can again. If told returns an error, the input is
// not read any more. It must not call the Fetcher.
func NewFetcher(client sarama.Client, told func(in *Input, err error, since time.Time) error) *Fetcher {
	f := &Fetcher{
		client: client, told: told, lost: make(chan struct{}, 1),
		inputs: map[*Input]bool{}, readers: map[int32]*reader{},
	}
	f.ctx, f.end = context.WithCancel(context.Background())
	f.running.Go(f.locate)
	return f
}

// Close ends all reading. It waits for no broker if the client is closed before.
func (f *Fetcher) Close() {
	f.end()
	f.running.Wait()
}

// Add begins to read an input.
func (f *Fetcher) Add(in *Input) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inputs[in] = true
	ring(f.lost)
}

// Remove ends the reading of an input.
func (f *Fetcher) Remove(in *Input) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.inputs, in)
	f.recovered(in)
}

// recovered says that an input can be read, or need not be any more. The lock is held.
func (f *Fetcher) recovered(in *Input) {
	if in.failed > 0 {
		in.failed, in.reason = 0, nil
		_ = f.told(in, nil, time.Time{})
	}
}

// locate finds the leaders of inputs that have none, until the Fetcher is closed.
func (f *Fetcher) locate() {
	for {
		select {
		case <-f.lost:
		case <-f.ctx.Done():
			return
		}
		for f.ctx.Err() == nil {
			lost, failed := f.withoutLeader()
			if len(lost) == 0 {
				break
			}
			if failed > 1 && sleep(f.ctx, retryPause) != nil {
				return
			}
			f.find(lost, failed > 0)
		}
	}
}

// withoutLeader returns the inputs that have none, and how often one of them has
// failed.
func (f *Fetcher) withoutLeader() (lost []*Input, failed int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for in := range f.inputs {
		if in.leader == nobody {
			lost, failed = append(lost, in), max(failed, in.failed)
		}
	}
	return lost, failed
}

// find gives inputs to the readers of their leaders: as the client knows them, or
// as the brokers say now.
func (f *Fetcher) find(lost []*Input, ask bool) {
	if ask {
		leaders, err := f.leaders(f.ctx, lost)
		for _, in := range lost {
			leader, ok := leaders[in.topic][in.partition]
			switch {
			case err != nil:
				f.fail(in, nil, err)
			case !ok:
				f.fail(in, nil, sarama.ErrLeaderNotAvailable)
			default:
				f.lead(leader, in)
			}
		}
		return
	}
	for _, in := range lost {
		leader, epoch, err := f.client.LeaderAndEpoch(in.topic, in.partition)
		if err != nil {
			f.fail(in, nil, err)
			continue
		}
		f.lead(kafka.Leader{Broker: leader.ID(), Epoch: epoch}, in)
	}
}

func (f *Fetcher) leaders(ctx context.Context, of []*Input) (map[string]map[int32]kafka.Leader, error) {
	var topics []string
	for _, in := range of {
		topics = append(topics, in.topic)
	}
	slices.Sort(topics)
	return kafka.Leaders(ctx, f.client, slices.Compact(topics))
}

// lead has the reader of a broker read an input, unless that lead is over.
func (f *Fetcher) lead(leader kafka.Leader, in *Input) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.inputs[in] || f.ctx.Err() != nil {
		return
	}
	if leader.Epoch < in.epoch && (in.failed == 0 || time.Since(in.since) < StaleLeader) {
		if in.leader == nobody {
			in.failed++ // look again, after a pause
			ring(f.lost)
		}
		return
	}
	broker := leader.Broker
	in.epoch = leader.Epoch
	r := f.readers[broker]
	if r == nil {
		r = &reader{fetcher: f, broker: broker, room: make(chan struct{}, 1)}
		f.readers[broker] = r
		f.running.Go(r.run)
	}
	in.leader = broker
	in.mu.Lock()
	in.cursor = &kafka.Cursor{ // the former one may be in a request that is not answered
		Log:  kafka.Log{Client: f.client, Topic: in.topic, Partition: in.partition},
		Next: in.fetched, MaxBytes: answerSize, Epoch: leader.Epoch,
	}
	in.room = r.ring
	in.mu.Unlock()
	r.fresh.Store(true)
	r.ring()
}

// fail notes that an input cannot be read, unless that is of a former cursor.
func (f *Fetcher) fail(in *Input, of *kafka.Cursor, err error) {
	in.lose()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.inputs[in] || f.ctx.Err() != nil || of != nil && of != in.cursor {
		return
	}
	in.leader = nobody
	in.failed++
	if code, _ := errors.AsType[sarama.KError](err); in.reason == nil || *in.reason != code {
		in.reason, in.since = &code, time.Now()
	}
	if f.told(in, err, in.since) != nil {
		delete(f.inputs, in)
		return
	}
	ring(f.lost)
}

// ring wakes who waits for a channel that holds one.
func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sleep waits, unless ctx is done first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
