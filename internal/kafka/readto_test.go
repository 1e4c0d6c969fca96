package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// readTo reads from one offset to another, and returns records as "a1@0" and
// answers as "→3".
func (k *kafka) readTo(ctx context.Context, from, end int64) (all []string, err error) {
	err = k.log().ReadTo(ctx, from, end, func(r *sarama.Record, offset int64, _ time.Time) error {
		all = append(all, fmt.Sprintf("%s%s@%d", r.Key, r.Value, offset))
		return nil
	}, func(next, _ int64) error {
		all = append(all, fmt.Sprintf("→%d", next))
		return nil
	})
	return all, err
}

func TestLogReadTo(t *testing.T) {
	for name, test := range map[string]struct {
		write     func(k *kafka)
		from, end int64
		want      []string
	}{
		"nothing":            {func(*kafka) {}, 0, 0, nil},
		"to the end":         {func(k *kafka) { k.write(nil, "a1", "b2", "c3") }, 0, 3, []string{"a1@0", "b2@1", "c3@2", "→3"}},
		"to within a batch":  {func(k *kafka) { k.write(nil, "a1", "b2", "c3") }, 1, 2, []string{"b2@1", "→2"}},
		"over a marker":      {func(k *kafka) { k.transaction(kgo.TryCommit, "a1") }, 0, 2, []string{"a1@0", "→2"}},
		"of aborted records": {func(k *kafka) { k.transaction(kgo.TryAbort, "a1") }, 0, 2, []string{"→2"}},
		"over what was compacted away": {func(k *kafka) {
			k.write(nil, "z0")
			for i := range 6 {
				k.write(nil, fmt.Sprintf("a%d", i))
			}
			k.Compact()
		}, 1, 5, []string{"→5"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKafka(t)
			test.write(k)
			got, err := k.readTo(t.Context(), test.from, test.end)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

// An open transaction is waited for, and what it commits is read.
func TestLogReadToWaitsForATransaction(t *testing.T) {
	k := newKafka(t)
	try := kgo.TryCommit
	k.write(nil, "a1")
	open := k.write(&try, "b2")
	_, end, err := k.log().Bounds()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	stands := 0
	err = k.log().ReadTo(t.Context(), 0, end, func(r *sarama.Record, offset int64, _ time.Time) error {
		got = append(got, fmt.Sprintf("%s%s@%d", r.Key, r.Value, offset))
		return nil
	}, func(next, stable int64) error {
		if next == 1 && stable == 1 {
			if stands++; stands == 2 { // once it is reached, then it does not move
				k.end(open, kgo.TryCommit)
			}
		}
		return nil
	})
	if want := []string{"a1@0", "b2@1"}; err != nil || !slices.Equal(got, want) || stands < 2 {
		t.Errorf("got %q, %v, and stood %d times; want %q", got, err, stands, want)
	}
}

func TestLogReadToEnds(t *testing.T) {
	k := newKafka(t)
	k.write(nil, "a1", "b2")
	if _, err := k.readTo(t.Context(), -5, 2); !errors.Is(err, ErrTruncated) {
		t.Errorf("before the start: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.readTo(ctx, 0, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	enough := errors.New("enough")
	if err := k.log().ReadTo(t.Context(), 0, 2, func(*sarama.Record, int64, time.Time) error { return enough }, nil); !errors.Is(err, enough) {
		t.Errorf("apply fails: %v", err)
	}
}
