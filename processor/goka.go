package processor

import (
	"context"
	"errors"
	"hash"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"

	"github.com/tidemark-dev/tidemark/internal/inputs"
)

// goka gives a task its life: one stock goka.Processor for one partition, whose
// group table is the task's store. Around it, in this file, stand adapters for
// the parts of goka that work per process: the consumer group, the producer,
// the topic manager. The table restores itself in Open.

// stream is the topic that goka knows. It is called back for batches, whichever
// inputs their records are of.
func (t *task) stream() string { return t.inputs[0].Topic() }

// run is the task's life, until its partition is revoked or the session ends.
func (t *task) run() (err error) {
	defer func() {
		if t.ctx.Err() != nil {
			err = nil // what fails because the partition is gone is no failure
		}
		t.revoke()
	}()
	if err := t.gather(); err != nil {
		return err
	}
	if t.legacy, err = t.session.takenOver(t.ctx, t.partition); err != nil {
		return err
	}
	t.transactions.gate.Lock()
	t.own = t.legacy.own
	t.transactions.gate.Unlock()
	t.merge = &inputs.Merge{Inputs: t.inputs, MaxIdle: t.processor.config.MaxTaskIdle, Time: t.happened}
	edges := []goka.Edge{goka.Input(goka.Stream(t.stream()), new(codec.Bytes), func(goka.Context, any) { (<-t.turns)() })}
	if len(t.stores) > 0 {
		edges = append(edges, goka.Persist(new(codec.Bytes)))
	}
	p, err := goka.NewProcessor(nil, goka.DefineGroup(goka.Group(t.group.Name), edges...),
		goka.WithLogger(noLogger{}),
		goka.WithNilHandling(goka.NilProcess),
		goka.WithConsumerGroupBuilder(func([]string, string, string) (sarama.ConsumerGroup, error) { return &taskGroup{t: t}, nil }),
		goka.WithConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) { return noConsumer{}, nil }),
		goka.WithProducerBuilder(func([]string, string, func() hash.Hash32) (goka.Producer, error) { return noProducer{}, nil }),
		goka.WithTopicManagerBuilder(func([]string) (goka.TopicManager, error) { return taskTopics{t: t}, nil }),
		goka.WithStorageBuilder(func(string, int32) (storage.Storage, error) { return taskStorage{t}, nil }))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	t.stop = stop
	err = p.Run(ctx)
	if t.opening != nil {
		err = t.opening // goka wraps it in six more
	}
	return errors.Join(err, t.closeStores()) // goka forgets an opened store when its set-up fails
}

// A taskGroup is a consumer group with one session and one claim.
type taskGroup struct {
	t *task
	sarama.ConsumerGroup
}

func (g *taskGroup) Consume(_ context.Context, _ []string, h sarama.ConsumerGroupHandler) error {
	t := g.t
	defer t.stop() // goka would sleep for five seconds and join again
	s := taskSession{t.session.joined, t}
	if len(t.stores) == 0 {
		if err := t.openStores(); err != nil {
			return err
		}
	}
	if err := h.Setup(s); err != nil { // opens the stores, which restore themselves
		if t.ctx.Err() != nil {
			return t.giveBack() // revoked during the restore
		}
		return err
	}
	if t.core == nil { // revoked while they were opened, and goka has closed them again
		return errors.Join(t.giveBack(), h.Cleanup(s))
	}
	if err := t.begin(); err != nil {
		t.phase.Store(closed)
		return errors.Join(t.session.failure(), h.Cleanup(s))
	}
	t.serve()
	t.follow()
	t.awaitHold()
	p := startPump(t)
	err := h.ConsumeClaim(s, turnClaim{messages: p.out, topic: t.stream(), partition: t.partition}) // until the pump ends
	p.stop()
	t.release()
	t.unfollow()
	return errors.Join(err, h.Cleanup(s))
}

func (*taskGroup) Errors() <-chan error { return nil }
func (*taskGroup) Close() error         { return nil }

type taskSession struct {
	sarama.ConsumerGroupSession
	t *task
}

func (s taskSession) Context() context.Context { return s.t.ctx }

func (s taskSession) Claims() map[string][]int32 {
	return map[string][]int32{s.t.stream(): {s.t.partition}}
}

func (taskSession) MarkOffset(string, int32, int64, string)     {} // commit does it
func (taskSession) MarkMessage(*sarama.ConsumerMessage, string) {}
func (taskSession) Commit()                                     {}

// A turnClaim has goka call back for each turn of the task. The turns go beside
// it: goka's cost for a record is so paid once a batch.
type turnClaim struct {
	sarama.ConsumerGroupClaim
	topic     string
	partition int32
	messages  chan *sarama.ConsumerMessage
}

func (c turnClaim) Topic() string            { return c.topic }
func (c turnClaim) Partition() int32         { return c.partition }
func (turnClaim) InitialOffset() int64       { return 0 }
func (turnClaim) HighWaterMarkOffset() int64 { return 0 }

func (c turnClaim) Messages() <-chan *sarama.ConsumerMessage { return c.messages }

// taskTopics tells goka that the topics exist, and that the changelog ends where
// the store has restored itself to.
type taskTopics struct {
	goka.TopicManager
	t *task
}

func (m taskTopics) Partitions(topic string) ([]int32, error) {
	return m.t.processor.client.Partitions(topic)
}
func (taskTopics) EnsureTableExists(string, int) error { return nil }
func (taskTopics) Close() error                        { return nil }

func (m taskTopics) GetOffset(_ string, _ int32, at int64) (int64, error) {
	if at == sarama.OffsetOldest {
		return 0, nil
	}
	return m.t.stores[0].store.Position(), nil
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

// taskStorage is the group table's storage as goka sees it: the task's first
// store, which opens the others beside it. Rows go to the stores directly.
type taskStorage struct{ t *task }

func (s taskStorage) Open() error {
	s.t.opening = s.t.openStores()
	return s.t.opening
}

func (s taskStorage) Close() error { return s.t.closeStores() }

func (s taskStorage) Has(key string) (bool, error) {
	v, err := s.Get(key)
	return v != nil, err
}

func (s taskStorage) Get(key string) ([]byte, error) {
	value, _, err := s.t.stores[0].store.Get([]byte(key))
	return value, err
}

func (s taskStorage) Set(key string, value []byte) error {
	s.t.stores[0].store.Put([]byte(key), value, time.Now().UnixMilli())
	return nil
}

func (s taskStorage) Delete(key string) error { return s.Set(key, nil) }
func (s taskStorage) GetOffset(int64) (int64, error) {
	return s.t.stores[0].store.Position() - 1, nil
}
func (taskStorage) SetOffset(int64) error               { return nil }
func (taskStorage) MarkRecovered() error                { return nil }
func (taskStorage) Iterator() (storage.Iterator, error) { return nil, errors.ErrUnsupported }
func (taskStorage) IteratorWithRange([]byte, []byte) (storage.Iterator, error) {
	return nil, errors.ErrUnsupported
}
