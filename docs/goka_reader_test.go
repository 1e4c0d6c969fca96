package docs_test

import (
	"errors"
	"hash"
	"math"
	"path/filepath"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

// What docs/from-goka.md shows of goka programs that read tidemark's tables.

func gokaReaders(brokers []string, dir string, page goka.ProcessCallback) (*goka.View, *goka.Processor, error) {
	cfg := goka.DefaultConfig()
	cfg.Consumer.IsolationLevel = sarama.ReadCommitted // else rows of aborted transactions are read, too
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest // else a new group begins with what comes next
	goka.ReplaceGlobalConfig(cfg)

	const table = "mini-group-clicks-table"
	count := gokaCodec[int64]{codec.Int64{}}
	view, err := goka.NewView(brokers, table, count,
		goka.WithViewHasher(newMurmur2), goka.WithViewTopicManagerBuilder(newTableTopics),
		goka.WithViewStorageBuilder(storage.DefaultBuilder(filepath.Join(dir, "view"))))
	if err != nil {
		return nil, nil, err
	}
	group := goka.DefineGroup("pages",
		goka.Input("user-page", gokaCodec[string]{codec.String{}}, page),
		goka.Join(table, count), // ctx.Join(table) is an int64, or nil
		goka.Output("page-counts", gokaCodec[string]{codec.String{}}))
	p, err := goka.NewProcessor(brokers, group,
		goka.WithHasher(newMurmur2), goka.WithTopicManagerBuilder(newTableTopics),
		goka.WithStorageBuilder(storage.DefaultBuilder(filepath.Join(dir, "pages"))))
	return view, p, err
}

// A murmur2 finds a key's partition as Java and tidemark do.
type murmur2 struct{ key []byte }

func newMurmur2() hash.Hash32 { return new(murmur2) }

func (m *murmur2) Write(b []byte) (int, error) {
	m.key = append(m.key, b...)
	return len(b), nil
}

func (m *murmur2) Sum32() uint32 {
	if sum := topology.Partition(m.key, math.MaxInt32); sum > 0 {
		return uint32(sum)
	}
	return uint32(topology.Partition(m.key, 2)) * math.MaxInt32 // 0 and MaxInt32 differ in their last bit
}

func (m *murmur2) Reset()              { m.key = m.key[:0] }
func (m *murmur2) Sum(b []byte) []byte { return b }
func (*murmur2) Size() int             { return 4 }
func (*murmur2) BlockSize() int        { return 4 }

// A gokaCodec lets goka use one of tidemark's codecs.
type gokaCodec[T any] struct{ codec codec.Codec[T] }

func (c gokaCodec[T]) Encode(v any) ([]byte, error)    { return c.codec.Encode(v.(T)) }
func (c gokaCodec[T]) Decode(data []byte) (any, error) { return c.codec.Decode(data) }

// tableTopics is goka's topic manager, but a topic ends behind its last committed
// record and not behind the transaction's marker, which no consumer is given.
type tableTopics struct {
	goka.TopicManager
	client sarama.Client
}

func newTableTopics(brokers []string) (goka.TopicManager, error) {
	topics, err := goka.DefaultTopicManagerBuilder(brokers)
	if err != nil {
		return nil, err
	}
	client, err := sarama.NewClient(brokers, sarama.NewConfig())
	if err != nil {
		return nil, err
	}
	return tableTopics{topics, client}, nil
}

func (t tableTopics) Close() error { return errors.Join(t.TopicManager.Close(), t.client.Close()) }

func (t tableTopics) GetOffset(topic string, partition int32, at int64) (int64, error) {
	end, err := t.TopicManager.GetOffset(topic, partition, at)
	if err != nil || at != sarama.OffsetNewest {
		return end, err
	}
	start, err := t.TopicManager.GetOffset(topic, partition, sarama.OffsetOldest)
	for err == nil && end > start {
		var committed bool
		if end, committed, err = t.before(topic, partition, end); committed {
			break
		}
	}
	return end, err
}

// before looks at the batch that holds the offset before end. It returns the
// offset behind its last record if that is committed, else where to look next.
func (t tableTopics) before(topic string, partition int32, end int64) (next int64, committed bool, err error) {
	leader, err := t.client.Leader(topic, partition)
	if err != nil {
		return end, false, err
	}
	req := &sarama.FetchRequest{Version: 4, MaxBytes: 1 << 20, Isolation: sarama.ReadCommitted}
	req.AddBlock(topic, partition, end-1, 1<<20, -1)
	resp, err := leader.Fetch(req)
	if err != nil {
		return end, false, err
	}
	block := resp.GetBlock(topic, partition)
	if block == nil {
		return end, false, sarama.ErrIncompleteResponse
	}
	if block.Err != sarama.ErrNoError {
		return end, false, block.Err
	}
	if block.LastStableOffset < end { // the transaction from here on is open
		return block.LastStableOffset, false, nil
	}
	if len(block.RecordsSet) == 0 || block.RecordsSet[0].RecordBatch == nil {
		return end - 1, false, nil // compacted
	}
	batch := block.RecordsSet[0].RecordBatch
	committed = !batch.Control && len(batch.Records) > 0 && batch.FirstOffset < end
	for _, a := range block.AbortedTransactions {
		if a.ProducerID == batch.ProducerID && a.FirstOffset <= batch.FirstOffset {
			committed = false
		}
	}
	if committed {
		return batch.FirstOffset + batch.Records[len(batch.Records)-1].OffsetDelta + 1, true, nil
	}
	return min(batch.FirstOffset, end-1), false, nil
}
