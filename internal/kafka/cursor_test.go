package kafka

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fetch reads all cursors to their ends, and returns records as "log a1@0".
func (k *kafka) fetch(cursors ...*Cursor) (records []string) {
	k.t.Helper()
	for range 100 {
		leader, err := k.client.Leader(topic, 0)
		if err != nil {
			k.t.Fatal(err)
		}
		if err := Fetch(leader, cursors, 50*time.Millisecond); err != nil {
			k.t.Fatal(err)
		}
		moved := false
		for _, c := range cursors {
			next, err := c.Take(func(r *sarama.Record, offset int64, _ time.Time) error {
				records = append(records, fmt.Sprintf("%s %s%s@%d", c.Topic, r.Key, r.Value, offset))
				return nil
			})
			if err != nil {
				k.t.Fatal(err)
			}
			moved = moved || next > c.Next
			c.Next = next
		}
		if !moved {
			slices.Sort(records)
			return records
		}
	}
	k.t.Fatal("the cursors move on for ever")
	return nil
}

func (k *kafka) cursor(topic string) *Cursor {
	return &Cursor{Log: Log{Client: k.client, Topic: topic}, Epoch: -1}
}

func TestFetch(t *testing.T) {
	k := newKafka(t)
	const other = "other"
	if err := k.CreateTopic(other, 1, nil); err != nil {
		t.Fatal(err)
	}
	k.write(nil, "a1", "b2")
	k.transaction(kgo.TryAbort, "c3")
	one, two := k.cursor(topic), k.cursor(other)
	if diff := cmp.Diff([]string{"log a1@0", "log b2@1"}, k.fetch(one, two)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if one.Next != 4 || one.Stable != 4 || two.Next != 0 || two.Stable != 0 {
		t.Errorf("cursors are at %d of %d and %d of %d", one.Next, one.Stable, two.Next, two.Stable)
	}
	open := kgo.TryCommit
	k.write(nil, "d4")
	k.write(&open, "e5")
	k.write(nil, "f6")
	if diff := cmp.Diff([]string{"log d4@4"}, k.fetch(one, two)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if one.Next != 5 || one.Stable != 5 {
		t.Errorf("the cursor is at %d of %d, want 5: what comes then is open", one.Next, one.Stable)
	}
}

// An error of one cursor is its own.
func TestFetchRefused(t *testing.T) {
	k := newKafka(t)
	k.write(nil, "a1")
	leader, err := k.client.Leader(topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	good, beyond, nowhere := k.cursor(topic), k.cursor(topic), k.cursor("nowhere")
	beyond.Next = 99
	if err := Fetch(leader, []*Cursor{beyond, nowhere}, 0); err != nil {
		t.Fatal(err)
	}
	if next, err := beyond.Take(nil); next != 99 || !errors.Is(err, sarama.ErrOffsetOutOfRange) {
		t.Errorf("beyond the end: %d, %v", next, err)
	}
	if next, err := nowhere.Take(nil); next != 0 || !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		t.Errorf("an unknown topic: %d, %v", next, err)
	}
	wrong := errors.New("wrong")
	if err := Fetch(leader, []*Cursor{good}, 0); err != nil {
		t.Fatal(err)
	}
	if next, err := good.Take(func(*sarama.Record, int64, time.Time) error { return wrong }); next != 0 || !errors.Is(err, wrong) {
		t.Errorf("a reader's error: %d, %v", next, err)
	}
	if next, err := good.Take(nil); next != 0 || err != nil {
		t.Errorf("a second Take: %d, %v", next, err)
	}
}

// What was compacted away up to the end is passed over, but only if the answer
// had room for it.
func TestTakeNothing(t *testing.T) {
	for _, alone := range []bool{true, false} {
		c := &Cursor{Next: 3, block: &sarama.FetchResponseBlock{LastStableOffset: 9}, alone: alone}
		want := int64(3)
		if alone {
			want = 9
		}
		if next, err := c.Take(nil); next != want || c.Stable != 9 || err != nil {
			t.Errorf("alone %v: %d of %d, %v: want %d", alone, next, c.Stable, err, want)
		}
	}
}
