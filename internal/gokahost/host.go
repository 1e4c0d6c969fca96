// Package gokahost lets one partition of a group live in a stock goka.Processor.
package gokahost

import (
	"context"
	"errors"
	"hash"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
)

// A Host runs a task as a goka.Processor, whose group table is the task's. What goka
// does for a whole process (the consumer group, the producer, offsets, topics,
// recovery of the table) is done elsewhere, and adapters stand in for it: goka opens the
// table, calls back for the task's work, and closes the table.
type Host struct {
	Group     string
	Stream    string // the input that goka knows; its callback is for all inputs
	Partition int32
	Table     bool // the task keeps a table
	Task      Task

	// Partitions returns the partitions of a topic.
	Partitions func(topic string) ([]int32, error)
	// Context ends when the partition is revoked.
	Context context.Context

	processor *goka.Processor
	turns     chan func() // what goka's next callback does
	opening   error       // of the table
	stop      context.CancelFunc
}

// A Task is what lives in a Host. The Host calls Open, Begin, Work, End and Close in this
// order; only Get and Position may be called while Work runs.
type Task interface {
	// Open opens the table and restores it.
	Open() error
	// Close closes what Open has opened. It may be called again.
	Close() error
	// Get returns a committed row of the table, nil if there is none.
	Get(key []byte) ([]byte, error)
	// Position is the changelog's offset that the table is of.
	Position() int64

	// Begin is told how Open ended. Without work there is neither Work nor End.
	Begin(opened error) (work bool, err error)
	// Work works until ctx is done, or the task is. It does so in turns, of which goka
	// runs one at a time; turn returns when f has, and false if that was not to be.
	Work(ctx context.Context, turn func(f func()) bool)
	// End ends the work in good order.
	End()
}

// Run returns when the task has ended, and its table is closed.
func (h *Host) Run() error {
	h.turns = make(chan func(), 1)
	edges := []goka.Edge{goka.Input(goka.Stream(h.Stream), new(codec.Bytes), func(goka.Context, any) { (<-h.turns)() })}
	if h.Table {
		edges = append(edges, goka.Persist(new(codec.Bytes)))
	}
	var err error
	h.processor, err = goka.NewProcessor(nil, goka.DefineGroup(goka.Group(h.Group), edges...),
		goka.WithLogger(noLogger{}),
		goka.WithConsumerGroupBuilder(func([]string, string, string) (sarama.ConsumerGroup, error) { return &group{host: h}, nil }),
		goka.WithConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) { return noConsumer{}, nil }),
		goka.WithProducerBuilder(func([]string, string, func() hash.Hash32) (goka.Producer, error) { return noProducer{}, nil }),
		goka.WithTopicManagerBuilder(func([]string) (goka.TopicManager, error) { return topics{host: h}, nil }),
		goka.WithStorageBuilder(func(string, int32) (storage.Storage, error) { return table{h}, nil }))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	h.stop = stop
	err = h.processor.Run(ctx)
	if h.opening != nil {
		err = h.opening // goka wraps it in six more
	}
	return errors.Join(err, h.Task.Close()) // goka forgets an opened table when its set-up fails
}

// A group is a consumer group with one session and one claim.
type group struct {
	sarama.ConsumerGroup
	host *Host
}

func (g *group) Consume(_ context.Context, _ []string, handler sarama.ConsumerGroupHandler) error {
	h := g.host
	defer h.stop() // goka would sleep for five seconds and join again
	s := session{host: h}
	var opened error
	if !h.Table {
		opened = h.Task.Open()
	}
	isSetUp := false
	if opened == nil {
		opened = handler.Setup(s) // opens the table
		isSetUp = opened == nil
	}
	work, err := h.Task.Begin(opened)
	if work {
		err = errors.Join(err, h.work(handler, s))
		h.Task.End()
	}
	if isSetUp {
		err = errors.Join(err, handler.Cleanup(s))
	}
	return err
}

func (*group) Errors() <-chan error { return nil }
func (*group) Close() error         { return nil }

// work has the task work, and goka call back for each of its turns. They go beside the
// messages: goka's cost for a message is so paid once a turn, and not for each record.
func (h *Host) work(handler sarama.ConsumerGroupHandler, s session) error {
	ctx, cancel := context.WithCancel(h.Context)
	defer cancel()
	messages, worked := make(chan *sarama.ConsumerMessage), make(chan struct{})
	go func() {
		defer close(worked)
		defer close(messages)
		h.Task.Work(ctx, func(f func()) bool { return h.turn(ctx, messages, f) })
	}()
	err := handler.ConsumeClaim(s, claim{host: h, messages: messages}) // until messages is closed
	cancel()
	<-worked
	return err
}

// turn has goka call f back, and returns when f has.
func (h *Host) turn(ctx context.Context, messages chan<- *sarama.ConsumerMessage, f func()) bool {
	done := make(chan struct{})
	select {
	case h.turns <- func() { defer close(done); f() }:
	case <-ctx.Done():
		return false
	}
	select {
	case messages <- &sarama.ConsumerMessage{Topic: h.Stream, Partition: h.Partition, Value: []byte{1}}: // with a value, or goka leaves it out
	case <-ctx.Done():
		return false
	}
	select {
	case <-done:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// A session is that of the group.
type session struct{ host *Host }

func (s session) Context() context.Context { return s.host.Context }
func (s session) Claims() map[string][]int32 {
	return map[string][]int32{s.host.Stream: {s.host.Partition}}
}
func (session) MemberID() string                            { return "" }
func (session) GenerationID() int32                         { return 0 }
func (session) ResetOffset(string, int32, int64, string)    {}
func (session) MarkOffset(string, int32, int64, string)     {} // the task commits
func (session) MarkMessage(*sarama.ConsumerMessage, string) {}
func (session) Commit()                                     {}

// A claim has a message for each turn.
type claim struct {
	host     *Host
	messages <-chan *sarama.ConsumerMessage
}

func (c claim) Topic() string                            { return c.host.Stream }
func (c claim) Partition() int32                         { return c.host.Partition }
func (claim) InitialOffset() int64                       { return 0 }
func (claim) HighWaterMarkOffset() int64                 { return 0 }
func (c claim) Messages() <-chan *sarama.ConsumerMessage { return c.messages }

// topics tell goka that the topics exist, and that the changelog ends where the table
// has restored itself to.
type topics struct {
	goka.TopicManager
	host *Host
}

func (t topics) Partitions(topic string) ([]int32, error) { return t.host.Partitions(topic) }
func (topics) EnsureTableExists(string, int) error        { return nil }
func (topics) Close() error                               { return nil }

func (t topics) GetOffset(_ string, _ int32, at int64) (int64, error) {
	if at == sarama.OffsetOldest {
		return 0, nil
	}
	return t.host.Task.Position(), nil
}

// noConsumer: goka has nothing to restore.
type noConsumer struct{ sarama.Consumer }

func (noConsumer) Close() error                               { return nil }
func (noConsumer) HighWaterMarks() map[string]map[int32]int64 { return nil }

// noProducer: what a task writes goes into the session's transaction.
type noProducer struct{ goka.Producer }

func (noProducer) Close() error { return nil }

type noLogger struct{}

func (noLogger) Print(...any)          {}
func (noLogger) Println(...any)        {}
func (noLogger) Printf(string, ...any) {}

// A table is the group table's storage as goka sees it. It is read only: the task
// writes its rows itself.
type table struct{ host *Host }

func (t table) Open() error {
	t.host.opening = t.host.Task.Open()
	return t.host.opening
}

func (t table) Close() error { return t.host.Task.Close() }

func (t table) Has(key string) (bool, error) {
	value, err := t.Get(key)
	return value != nil, err
}

func (t table) Get(key string) ([]byte, error)    { return t.host.Task.Get([]byte(key)) }
func (table) Set(string, []byte) error            { return errors.ErrUnsupported }
func (table) Delete(string) error                 { return errors.ErrUnsupported }
func (t table) GetOffset(int64) (int64, error)    { return t.host.Task.Position() - 1, nil }
func (table) SetOffset(int64) error               { return nil }
func (table) MarkRecovered() error                { return nil }
func (table) Iterator() (storage.Iterator, error) { return nil, errors.ErrUnsupported }
func (table) IteratorWithRange([]byte, []byte) (storage.Iterator, error) {
	return nil, errors.ErrUnsupported
}
