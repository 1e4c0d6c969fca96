package processor

import (
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// A hold that is over, and that no task is known for, is forgotten with the next
// commit: each record that is published would look for it.
func TestHoldOfNobodyIsForgotten(t *testing.T) {
	var h holds
	failed := &kafka.ProduceError{Topic: "out", Partition: 1, Err: sarama.ErrNotEnoughReplicas}
	if !h.take(&topology.Group{}, failed) || h.check(0, "out", 1) == nil {
		t.Fatal("the partition is not held")
	}
	h.release(0)
	if !h.any.Load() {
		t.Error("a hold is forgotten before it is over")
	}
	h.of[topology.Position{Topic: "out", Partition: 1}].until = time.Now()
	h.release(0)
	if h.any.Load() {
		t.Errorf("holds %v", h.of)
	}
}
