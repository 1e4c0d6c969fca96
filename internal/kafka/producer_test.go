package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (k *kafka) producer(id string) *Producer {
	k.t.Helper()
	p, err := NewProducer(context.Background(), k.newClient(), id, "group", 10*time.Second)
	if err != nil {
		k.t.Fatal(err)
	}
	return p
}

// publish publishes records and waits until the broker has them.
func (k *kafka) publish(p *Producer, records ...string) {
	k.t.Helper()
	for _, r := range records {
		p.Publish(topic, 0, []byte(r[:1]), []byte(r[1:]), nil, 1000)
	}
	p.Push()
	if err := p.Flush(); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kafka) commit(p *Producer) {
	k.t.Helper()
	if err := p.Commit(); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kafka) wants(records ...string) {
	k.t.Helper()
	if diff := cmp.Diff(records, k.read(0)); diff != "" {
		k.t.Errorf("records (-want +got):\n%s", diff)
	}
}

// Transactions follow one another; what is open at the end is aborted.
func TestProducer(t *testing.T) {
	k := newKafka(t)
	p := k.producer("id")
	if _, ok := p.End(topic, 0); ok {
		t.Error("there is an end before the first commit")
	}
	k.publish(p, "a1", "b2")
	k.wants("open@0")
	k.publish(p, "c3")
	k.commit(p)
	if end, ok := p.End(topic, 0); !ok || end != 3 {
		t.Errorf("end %d, %v, want 3", end, ok)
	}
	k.commit(p) // of nothing
	if end, ok := p.End(topic, 0); ok {
		t.Errorf("end %d of a transaction that wrote nothing", end)
	}
	k.publish(p, "d4")
	if err := p.Abort(); err != nil {
		t.Error(err)
	}
	k.wants("a1@0", "b2@1", "c3@2")
}

// Rows and published records of one transaction come in order, however many.
func TestProducerBatches(t *testing.T) {
	k := newKafka(t)
	p := k.producer("id")
	const n = 3*batchRecords + 17
	records, sent, times := make([]sarama.Record, n), make([]*sarama.Record, n), make([]int64, n)
	for i := range n {
		records[i].Key, records[i].Value = []byte("k"), fmt.Append(nil, i)
		sent[i], times[i] = &records[i], int64(1000+i)
	}
	p.Begin(map[string][]int32{topic: {0}})
	p.Send(topic, 0, sent[:n/2], times[:n/2])
	p.Push()
	p.Send(topic, 0, sent[n/2:], times[n/2:])
	p.Push()
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	k.commit(p)
	if end, _ := p.End(topic, 0); end != n {
		t.Errorf("end %d, want %d", end, n)
	}
	next := 0
	for from := int64(0); from < n; {
		var err error
		from, _, err = k.log().Read(from, time.Second, func(r *sarama.Record, offset int64, at time.Time) error {
			if string(r.Value) != fmt.Sprint(next) || offset != int64(next) || at.UnixMilli() != int64(1000+next) {
				return fmt.Errorf("got %s at %d of %v, want %d", r.Value, offset, at, next)
			}
			next++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// An empty key or value is not a missing one, nor is the very first.
func TestProducerPublishesEmpty(t *testing.T) {
	k := newKafka(t)
	p := k.producer("id")
	p.Publish(topic, 0, []byte{}, []byte{}, nil, 1000)
	p.Publish(topic, 0, nil, nil, nil, 1000)
	p.Publish(topic, 0, []byte{}, []byte{}, nil, 1000)
	p.Push()
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	k.commit(p)
	var got []bool
	if _, _, err := k.log().Read(0, time.Second, func(r *sarama.Record, _ int64, _ time.Time) error {
		got = append(got, r.Key == nil, r.Value == nil)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := []bool{false, false, true, true, false, false}; !slices.Equal(got, want) {
		t.Errorf("missing keys and values %v, want %v", got, want)
	}
}

// Publish may be called by several goroutines at once, and copies what it is given.
func TestProducerConcurrent(t *testing.T) {
	k := newKafka(t)
	p := k.producer("id")
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			key := []byte{0}
			for i := range 500 {
				key[0] = byte('a' + g)
				p.Publish(topic, 0, key, fmt.Append(nil, i), nil, 1000)
				key[0] = '?'
			}
		})
	}
	all.Wait()
	p.Push()
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	k.commit(p)
	got := k.read(0)
	if len(got) != 2000 {
		t.Fatalf("%d records, want 2000", len(got))
	}
	for g := range 4 {
		next := 0
		for _, r := range got {
			if r[0] == byte('a'+g) {
				if want := fmt.Sprintf("%c%d@", 'a'+g, next); r[:len(want)] != want {
					t.Fatalf("got %s, want %s", r, want)
				}
				next++
			}
		}
	}
}

// Whoever takes an id over ends what was open, and its holder can do no more.
func TestProducerFenced(t *testing.T) {
	for name, take := range map[string]func(k *kafka){
		"successor": func(k *kafka) { k.producer("id") },
		"fence": func(k *kafka) {
			if err := Fence(context.Background(), k.client, Holder{ID: "id", Producer: -1, Epoch: -1}, 10*time.Second); err != nil {
				k.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKafka(t)
			old := k.producer("id")
			k.publish(old, "a1")
			take(k)
			k.wants()
			if err := old.Commit(); err == nil {
				t.Error("the old holder commits")
			}
			old.Publish(topic, 0, []byte("b"), []byte("2"), nil, 1000)
			old.Push()
			if err := old.Flush(); err == nil {
				t.Error("the old holder writes")
			}
			_ = old.Abort()
			k.write(nil, "z9")
			if got := k.read(0); len(got) != 1 || got[0][:2] != "z9" {
				t.Errorf("got %v, want z9 only", got)
			}
		})
	}
}

// After an error nothing more is written, and nothing of the transaction stays.
func TestProducerFails(t *testing.T) {
	k := newKafka(t)
	p := k.producer("id")
	k.publish(p, "a1")
	h := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas})
	for range 3 {
		p.Publish(topic, 0, []byte("b"), []byte("2"), nil, 1000)
		p.Push()
		if err := p.Flush(); !errors.Is(err, sarama.ErrNotEnoughReplicas) {
			t.Errorf("got %v, want the first error", err)
		}
	}
	if n := h.Hits(); n != 1 {
		t.Errorf("%d requests failed, want 1", n)
	}
	err := p.AddOffsets(Offsets{topic: {{Partition: 0, Offset: 1, LeaderEpoch: -1}}}, &sarama.ConsumerGroupMetadata{GroupID: "group", GenerationID: -1})
	if !errors.Is(err, sarama.ErrNotEnoughReplicas) {
		t.Errorf("offsets: got %v, want the first error", err)
	}
	if err := p.Abort(); err != nil {
		t.Error(err)
	}
	k.wants()
}

// Offsets are the group's when the transaction is committed, and not before.
func TestProducerOffsets(t *testing.T) {
	k := newKafka(t)
	p := k.producer("id")
	group := &sarama.ConsumerGroupMetadata{GroupID: "group", GenerationID: -1}
	add := func(offset int64) {
		t.Helper()
		if err := p.AddOffsets(Offsets{topic: {{Partition: 0, Offset: offset, LeaderEpoch: -1}}}, group); err != nil {
			t.Fatal(err)
		}
	}
	committed := func() int64 {
		if info := k.GroupInfo("group"); info != nil {
			return info.Commits[topic][0].Offset
		}
		return 0
	}
	k.publish(p, "a1")
	add(7)
	if got := committed(); got != 0 {
		t.Errorf("offset %d before the commit", got)
	}
	k.commit(p)
	if got := committed(); got != 7 {
		t.Errorf("offset %d, want 7", got)
	}
	k.publish(p, "b2")
	add(9)
	if err := p.Abort(); err != nil {
		t.Error(err)
	}
	if got := committed(); got != 7 {
		t.Errorf("offset %d after an abort, want 7", got)
	}
	k.wants("a1@0")
}

// Without an id there are no transactions: records are there at once, and the
// offsets after them.
func TestProducerWithoutTransactions(t *testing.T) {
	k := newKafka(t)
	p := k.producer("")
	k.publish(p, "a1", "b2")
	k.wants("a1@0", "b2@1")
	err := p.AddOffsets(Offsets{topic: {{Partition: 0, Offset: 2, LeaderEpoch: -1}}}, &sarama.ConsumerGroupMetadata{GroupID: "group", GenerationID: -1})
	if err != nil {
		t.Fatal(err)
	}
	k.commit(p)
	if end, ok := p.End(topic, 0); !ok || end != 2 {
		t.Errorf("end %d, %v, want 2", end, ok)
	}
	if got := k.GroupInfo("group").Commits[topic][0].Offset; got != 2 {
		t.Errorf("offset %d, want 2", got)
	}
	k.publish(p, "c3")
	if err := p.Abort(); err != nil {
		t.Error(err)
	}
	k.wants("a1@0", "b2@1", "c3@2")
}

// The offsets wait for the records: a crash between them must repeat and not lose.
func TestOffsetsWaitForRecords(t *testing.T) {
	for _, id := range []string{"id", ""} {
		// A broker of its own for the records: a connection keeps requests in order.
		k := newBrokers(t, 3)
		for node := range int32(3) {
			if node != k.CoordinatorFor("group") && node != k.CoordinatorFor(id) {
				if err := k.MoveTopicPartition(topic, 0, node); err != nil {
					t.Fatal(err)
				}
			}
		}
		p := k.producer(id)
		var mu sync.Mutex
		var order []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, what)
		}
		k.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			k.SleepControl(func() { time.Sleep(50 * time.Millisecond) })
			note("records")
			return nil, nil, false
		})
		for _, key := range []kmsg.Key{kmsg.EndTxn, kmsg.OffsetCommit} {
			k.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
				note("end")
				return nil, nil, false
			})
		}
		p.Publish(topic, 0, []byte("a"), []byte("1"), nil, 1000)
		p.Push()
		err := p.AddOffsets(Offsets{topic: {{Partition: 0, Offset: 2, LeaderEpoch: -1}}}, &sarama.ConsumerGroupMetadata{GroupID: "group", GenerationID: -1})
		if err = errors.Join(err, p.Commit()); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		if !slices.Equal(order, []string{"records", "end"}) {
			t.Errorf("id %q: the broker saw %v", id, order)
		}
		mu.Unlock()
	}
}
