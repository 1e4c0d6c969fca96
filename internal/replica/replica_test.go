package replica_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/internal/replica"
	"github.com/tidemark-dev/tidemark/internal/rows"
	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/internal/waiting"
	"github.com/tidemark-dev/tidemark/topology"
)

// A topic is in memory: partitions of records, "a=1" or "a" for a tombstone, each
// at its index.
type topic struct {
	mu         sync.Mutex
	partitions map[int32][]string
	asked      map[int32]int64 // where it was read from
}

func newTopic(partitions map[int32][]string) *topic {
	return &topic{partitions: partitions, asked: map[int32]int64{}}
}

func (t *topic) add(partition int32, records ...string) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.partitions[partition] = append(t.partitions[partition], records...)
	return int64(len(t.partitions[partition]))
}

func (t *topic) log(partition int32) replica.Log { return held{t, partition} }

// held is one partition of a topic.
type held struct {
	topic     *topic
	partition int32
}

// ReadTo hands over three records in an answer.
func (h held) ReadTo(ctx context.Context, from, end int64, apply func(*sarama.Record, int64, time.Time) error, reached func(next, stable int64) error) error {
	h.topic.mu.Lock()
	h.topic.asked[h.partition] = from
	records := h.topic.partitions[h.partition]
	h.topic.mu.Unlock()
	for at := from; at < end; {
		for n := 0; n < 3 && at < end; n++ {
			key, value, ok := strings.Cut(records[at], "=")
			r := &sarama.Record{Key: []byte(key)}
			if ok {
				r.Value = []byte(value)
			}
			if err := apply(r, at, time.UnixMilli(at)); err != nil {
				return err
			}
			at++
		}
		if err := errors.Join(reached(at, end), ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// A trial is a replica of a topic. Its log is text.
type trial struct {
	*testing.T
	config  replica.Config
	topic   *topic
	log     bytes.Buffer
	replica *replica.Replica
}

func newTrial(t *testing.T, partition int32, of *topic) *trial {
	x := &trial{T: t, topic: of}
	logger := slog.New(slog.NewTextHandler(&x.log, nil))
	x.config = replica.Config{
		Table: "words", Topic: "app-words-table", Partition: partition, Dir: t.TempDir(),
		Retention: time.Hour, Log: of.log, Waits: waiting.New(logger), Logger: logger,
	}
	x.replica = replica.New(x.config)
	t.Cleanup(func() {
		if err := x.replica.Close(true); err != nil {
			t.Error(err)
		}
	})
	return x
}

var home = replica.Home{Cluster: "kafka", Application: "app", TopicID: "id", Meaning: "counts"}

// opened opens the replica, again if it is open.
func (x *trial) opened(home replica.Home, spans ...replica.Span) {
	x.Helper()
	if err := x.replica.Close(true); err != nil {
		x.Fatal(err)
	}
	x.log.Reset()
	x.replica = replica.New(x.config)
	if err := x.replica.Open(home, spans, nil); err != nil {
		x.Fatal(err)
	}
}

// restored opens a replica of partition 3, restores and serves it.
func (x *trial) restored() {
	x.Helper()
	end := x.topic.add(3)
	x.opened(home, replica.Span{End: end})
	if _, err := x.replica.Restore(x.Context(), end, func([]byte) {}); err != nil {
		x.Fatal(err)
	}
	x.replica.Serve()
}

// put commits records of the topic to the replica of partition 3, as a task does.
func (x *trial) put(records ...string) {
	x.Helper()
	end := x.topic.add(3, records...)
	for _, r := range records {
		key, value, ok := strings.Cut(r, "=")
		if ok {
			x.replica.Store().Put([]byte(key), []byte(value), 1)
		} else {
			x.replica.Store().Put([]byte(key), nil, 1)
		}
	}
	if err := x.replica.Commit(end); err != nil {
		x.Fatal(err)
	}
}

// texts returns rows as "a=1@3/2", up to n of them, and the error that ends them.
func texts(rows iter.Seq2[topology.Raw, error], n int) (all []string) {
	for r, err := range rows {
		switch {
		case err != nil:
			return append(all, err.Error())
		case r.Value == nil:
			all = append(all, fmt.Sprintf("%s@%d/%d", r.Key, r.Partition, r.Offset))
		default:
			all = append(all, fmt.Sprintf("%s=%s@%d/%d", r.Key, r.Value, r.Partition, r.Offset))
		}
		if len(all) == n {
			return all
		}
	}
	return all
}

func (x *trial) want(got []string, want ...string) {
	x.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		x.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReplicaIsRestoredAndRead(t *testing.T) {
	x := newTrial(t, 3, newTopic(map[int32][]string{3: {"a=1", "b=2", "a=3", "c=4", "c"}}))
	if _, err := x.replica.Row([]byte("a")); !errors.Is(err, rows.ErrRestoring) || err.Error() != "restoring: partition 3 is being opened" {
		t.Errorf("before it is open: %v", err)
	}
	x.opened(home, replica.Span{End: 5})
	var seen []string
	records, err := x.replica.Restore(t.Context(), 5, func(key []byte) { seen = append(seen, string(key)) })
	if err != nil || records != 5 || x.replica.Left() != 0 || !x.replica.Filled() {
		t.Errorf("restored %d, %v; left %d, filled %v", records, err, x.replica.Left(), x.replica.Filled())
	}
	x.want(seen, "a", "b", "a", "c", "c")
	x.want(texts(x.replica.Rows(t.Context(), nil, nil), 0), "restoring: partition 3 is being opened")
	x.replica.Serve()
	x.want(texts(x.replica.Rows(t.Context(), nil, nil), 0), "a=3@3/5", "b=2@3/5")
	x.want(texts(x.replica.Rows(t.Context(), []byte("b"), []byte("c")), 0), "b=2@3/5")
	if r, err := x.replica.Row([]byte("a")); err != nil || string(r.Value) != "3" || r.Offset != 5 || r.Partition != 3 {
		t.Errorf("row %+v, %v", r, err)
	}
	if r, err := x.replica.Row([]byte("c")); err != nil || r.Value != nil || r.Offset != 5 {
		t.Errorf("a deleted row: %+v, %v", r, err)
	}
	if !strings.Contains(x.log.String(), `msg="table restored" table=words partition=3 records=5 from=0 to=5`) {
		t.Errorf("log:\n%s", &x.log)
	}
}

// What is on the disk is used as it is: only what came later is read.
func TestReplicaGoesOn(t *testing.T) {
	x := newTrial(t, 3, newTopic(map[int32][]string{3: {"a=1", "b=2", "c=3", "d=4"}}))
	x.restored()
	x.topic.add(3, "a", "e=5")
	x.restored()
	if from := x.topic.asked[3]; from != 4 {
		t.Errorf("read from %d, want 4", from)
	}
	x.want(texts(x.replica.Rows(t.Context(), nil, nil), 0), "b=2@3/6", "c=3@3/6", "d=4@3/6", "e=5@3/6")
}

// Rows that cannot be brought up to date are wiped, and the log says why.
func TestReplicaIsWiped(t *testing.T) {
	other := func(change func(*replica.Home)) replica.Home {
		h := home
		change(&h)
		return h
	}
	for name, test := range map[string]struct {
		home  replica.Home
		span  replica.Span
		left  time.Duration // for so long
		wiped string        // "" if it is not
	}{
		"nothing is wrong":    {home, replica.Span{End: 5}, 0, ""},
		"compacted up to it":  {home, replica.Span{Start: 5, End: 9}, 0, ""},
		"another meaning":     {other(func(h *replica.Home) { h.Meaning = "sums" }), replica.Span{End: 5}, 0, ""}, // a Check decides
		"another cluster":     {other(func(h *replica.Home) { h.Cluster = "other" }), replica.Span{End: 5}, 0, "it belongs to the Kafka cluster \\\"kafka\\\""},
		"another application": {other(func(h *replica.Home) { h.Application = "other" }), replica.Span{End: 5}, 0, "it belongs to application \\\"app\\\""},
		"another incarnation": {other(func(h *replica.Home) { h.TopicID = "other" }), replica.Span{End: 5}, 0, "it belongs to another incarnation of topic app-words-table"},
		"ahead":               {home, replica.Span{End: 4}, 0, "it is at 5, but its changelog ends at 4"},
		"behind":              {home, replica.Span{Start: 6, End: 9}, 0, "it is at 5, but its changelog begins at 6"},
		"left for too long":   {home, replica.Span{End: 9}, time.Nanosecond, "and the changelog keeps tombstones for 1ns"},
		"left, and current":   {home, replica.Span{End: 5}, time.Nanosecond, ""},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTrial(t, 3, newTopic(map[int32][]string{3: {"a=1", "b=2", "c=3", "d=4", "e=5"}}))
			x.restored()
			if test.left > 0 {
				x.config.Retention = test.left
			}
			x.opened(test.home, test.span)
			switch said := x.log.String(); {
			case test.wiped == "" && (said != "" || x.replica.Next()[0] != max(5, test.span.Start)):
				t.Errorf("goes on at %d, and says %q", x.replica.Next()[0], said)
			case test.wiped != "" && (!strings.Contains(said, "local table wiped, to be restored from its changelog") || !strings.Contains(said, test.wiped)):
				t.Errorf("says %q, want %q", said, test.wiped)
			case test.wiped != "" && x.replica.Next()[0] != test.span.Start:
				t.Errorf("goes on at %d, want %d", x.replica.Next()[0], test.span.Start)
			}
		})
	}
}

// A check is told of the home and the position of rows, and can wipe or refuse them.
func TestReplicaIsChecked(t *testing.T) {
	x := newTrial(t, 3, newTopic(map[int32][]string{3: {"a=1", "b=2"}}))
	x.restored()
	if err := x.replica.Close(true); err != nil {
		t.Fatal(err)
	}
	refusal := errors.New("refused")
	err := x.replica.Open(home, []replica.Span{{End: 2}}, func(was replica.Home, position int64) (wipe, refuse error) {
		want := home
		want.Topic, want.Partition = "app-words-table", 3
		if was != want || position != 2 {
			t.Errorf("told of %+v at %d", was, position)
		}
		return nil, refusal
	})
	if !errors.Is(err, refusal) || x.replica.Store() != nil {
		t.Errorf("refused: %v, open is %v", err, x.replica.Store() != nil)
	}
	err = x.replica.Open(home, []replica.Span{{End: 2}}, func(replica.Home, int64) (wipe, refuse error) { return errors.New("unfit"), nil })
	if err != nil || x.replica.Next()[0] != 0 || !strings.Contains(x.log.String(), "reason=unfit") {
		t.Errorf("wiped: %v, goes on at %d, log:\n%s", err, x.replica.Next()[0], &x.log)
	}
}

// A restore that takes longer than the topic keeps tombstones is refused.
func TestReplicaIsSlow(t *testing.T) {
	x := newTrial(t, 3, newTopic(map[int32][]string{3: {"a=1"}}))
	x.config.Retention = time.Nanosecond
	x.opened(home, replica.Span{End: 1})
	_, err := x.replica.Restore(t.Context(), 1, func([]byte) {})
	if slow, ok := errors.AsType[*replica.SlowError](err); !ok || !strings.Contains(slow.Error(), "raise delete.retention.ms of app-words-table") {
		t.Errorf("error %v", err)
	}
}

// A watch yields the rows, and then each change once.
func TestReplicaIsWatched(t *testing.T) {
	x := newTrial(t, 3, newTopic(map[int32][]string{3: {"a=1"}}))
	x.restored()
	next, stop := iter.Pull2(x.replica.Watch(t.Context()))
	defer stop()
	step := func(want string) {
		t.Helper()
		r, err, ok := next()
		if got := texts(func(yield func(topology.Raw, error) bool) { yield(r, err) }, 1); !ok || got[0] != want {
			t.Errorf("got %q, %v; want %q", got, ok, want)
		}
	}
	step("a=1@3/1")
	x.put("b=2", "a")
	step("b=2@3/2")
	step("a@3/3")
	x.put("a=4")
	step("a=4@3/4")
	if err := x.replica.Close(true); err != nil {
		t.Fatal(err)
	}
	step("restoring: partition 3 has gone elsewhere")
}

// A watch sleeps until there is news, and ends with its context.
func TestReplicaWatchWaits(t *testing.T) {
	x := newTrial(t, 3, newTopic(map[int32][]string{3: {"a=1"}}))
	x.restored()
	ctx, cancel := context.WithCancel(t.Context())
	rows, ended := make(chan string, 10), make(chan struct{})
	go func() {
		defer close(ended)
		for r, err := range x.replica.Watch(ctx) {
			rows <- fmt.Sprintf("%s=%s %v", r.Key, r.Value, err)
		}
	}()
	if got := <-rows; got != "a=1 <nil>" {
		t.Errorf("got %q", got)
	}
	x.put("a=2")
	if got := <-rows; got != "a=2 <nil>" {
		t.Errorf("got %q", got)
	}
	cancel()
	<-ended
	if len(rows) > 0 {
		t.Errorf("it ends with %q", <-rows)
	}
}

// A global table is a replica of all partitions. Its key is in the partition that
// murmur2 says.
func TestReplicaOfAllPartitions(t *testing.T) {
	x := newTrial(t, replica.All, newTopic(map[int32][]string{0: {"a=1"}, 1: {"b=2", "b=3"}}))
	x.config.Value = func(r topology.Raw) ([]byte, bool) { return bytes.ToUpper(r.Value), string(r.Key) != "left out" }
	spans := []replica.Span{{End: 1}, {End: 2}}
	x.opened(home, spans...)
	x.replica.Store().Put([]byte("a"), []byte("1"), 1)
	x.replica.Store().Put([]byte("b"), []byte("3"), 1)
	if err := x.replica.Commit(1, 2); err != nil {
		t.Fatal(err)
	}
	x.replica.SetLeft(7)
	x.want(texts(x.replica.Rows(t.Context(), nil, nil), 0), `restoring: global table "words" has 7 records to read`)
	x.replica.Serve()
	at := func(key string) string {
		p := topology.Partition([]byte(key), 2)
		return fmt.Sprintf("@%d/%d", p, []int{1, 2}[p])
	}
	x.want(texts(x.replica.Rows(t.Context(), nil, nil), 0), "a=1"+at("a"), "b=3"+at("b"))
	if value, _, err := x.replica.Get([]byte("b")); err != nil || string(value) != "3" {
		t.Errorf("got %q, %v", value, err)
	}

	next, stop := iter.Pull2(x.replica.Watch(t.Context()))
	defer stop()
	for range 2 {
		_, _, _ = next()
	}
	x.topic.add(0, "left out=x", "c=x")
	if err := x.replica.Commit(3, 2); err != nil {
		t.Fatal(err)
	}
	if r, err, _ := next(); err != nil || string(r.Key) != "c" || string(r.Value) != "X" || r.Offset != 3 {
		t.Errorf("change %+v, %v", r, err)
	}
	turned := x.replica.Turned()
	x.replica.Hide(errors.New("out of reach"))
	<-turned
	if _, err, _ := next(); err == nil || err.Error() != `restoring: global table "words": out of reach` {
		t.Errorf("hidden: %v", err)
	}

	x.opened(home, spans[0], replica.Span{End: 2}, replica.Span{End: 9}) // the topic has grown, and lost a record
	if !strings.Contains(x.log.String(), "it is at app-words-table/0@3, which ends at 1") {
		t.Errorf("log:\n%s", &x.log)
	}
	if diff := cmp.Diff([]int64{0, 0, 0}, x.replica.Next()); diff != "" {
		t.Errorf("next (-want +got):\n%s", diff)
	}
}

// Offsets of all partitions are kept with the rows, also those of new partitions.
func TestReplicaOfAllPartitionsGoesOn(t *testing.T) {
	x := newTrial(t, replica.All, newTopic(nil))
	x.opened(home, replica.Span{End: 5}, replica.Span{End: 7})
	x.replica.Store().Put([]byte("a"), []byte("1"), 1)
	if err := x.replica.Commit(4, 0); err != nil {
		t.Fatal(err)
	}
	x.opened(home, replica.Span{End: 5}, replica.Span{End: 7}, replica.Span{Start: 3, End: 9})
	if diff := cmp.Diff([]int64{4, 0, 3}, x.replica.Next()); diff != "" || x.log.Len() > 0 {
		t.Errorf("next (-want +got):\n%s\n%s", diff, &x.log)
	}
	x.opened(home, replica.Span{End: 5})
	if want := "it has 2 partitions, and topic app-words-table has 1"; !strings.Contains(x.log.String(), want) {
		t.Errorf("log:\n%s\nwant %q", &x.log, want)
	}
}

// A reader whose store is closed meanwhile gets an error.
func TestReplicaIsClosedUnderAReader(t *testing.T) {
	x := newTrial(t, 3, newTopic(map[int32][]string{3: {"a=1"}}))
	x.restored()
	snap, err := x.replica.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := x.replica.Close(true); err != nil {
		t.Fatal(err)
	}
	for _, err := range snap.Rows(nil, nil) {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("error %v", err)
		}
	}
	snap.Release()
	if _, err := x.replica.Snapshot(); !errors.Is(err, rows.ErrRestoring) {
		t.Errorf("closed: %v", err)
	}
}
