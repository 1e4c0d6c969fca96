package processor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/inputs"
)

// ConsumeClaim gives a claim to the task of its partition, and has it back when
// the task has ended. The first of a task's claims runs it. sarama is not to fetch:
// it says only whose the partition is.
func (s *session) ConsumeClaim(_ sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	s.claimer.Pause(map[string][]int32{claim.Topic(): {claim.Partition()}})
	t, first := s.claimed(claim)
	if t != nil {
		go func() {
			for range claim.Messages() { // of a fetch before the pause, until sarama ends the claim
			}
			t.unclaim()
		}()
	}
	switch {
	case t == nil: // revoked meanwhile
	case first:
		s.list(t, true)
		err := t.run()
		s.list(t, false)
		if err != nil {
			s.fail(fmt.Errorf("partition %d of %s: %w", t.partition, strings.Join(s.group.Inputs, ", "), err))
		}
		s.mu.Lock()
		delete(s.claims, t.partition)
		s.mu.Unlock()
		close(t.ended)
	default:
		<-t.ended
	}
	return nil
}

// claimed adds a claim to the task of its partition. The first makes the task.
func (s *session) claimed(claim sarama.ConsumerGroupClaim) (t *task, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := claim.Partition()
	if s.shares[p] == 0 {
		return nil, false
	}
	if t = s.claims[p]; t == nil {
		t, first = newTask(s, p), true
		s.claims[p] = t
	}
	if t.claims() != nil {
		s.fail(&staleError{fmt.Errorf("topic %q has grown: its partition %d goes with those that are processed already", claim.Topic(), p)})
		return nil, false
	}
	t.inputs = append(t.inputs, inputs.New(claim.Topic(), p, claim.InitialOffset(), t.news))
	if len(t.inputs) == s.shares[p] {
		slices.SortFunc(t.inputs, func(a, b *inputs.Input) int { return strings.Compare(a.Topic(), b.Topic()) })
		close(t.gathered)
	}
	return t, first
}

// gather waits for all claims of the partition.
func (t *task) gather() error {
	select {
	case <-t.gathered:
		return nil
	case <-t.ctx.Done():
		return t.ctx.Err()
	case <-t.session.joined.Context().Done():
		t.revoke()
		return t.ctx.Err()
	}
}

// list lists the task among those that commits and readers know, or no more.
func (s *session) list(t *task, in bool) {
	s.transactions.gate.Lock()
	if in {
		s.tasks[t.partition] = t
	} else {
		delete(s.tasks, t.partition)
	}
	tasks := slices.SortedFunc(maps.Values(s.tasks), byPartition)
	parts := make([]part, len(tasks))
	for i, t := range tasks {
		parts[i] = t
	}
	s.listed.Store(&tasks)
	s.parts.Store(&parts)
	s.transactions.gate.Unlock()
	s.processor.update()
}

// assigned is told of every new assignment, before its tasks start.
func (s *session) assigned(topics map[string][]int32) {
	shares := map[int32]int{}
	for _, partitions := range topics {
		for _, p := range partitions {
			shares[p]++
		}
	}
	s.share.Store(int32(len(shares)))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shares = shares
	for p, t := range s.claims {
		if shares[p] == 0 {
			t.revoke() // sarama only closes Messages(), which nobody reads during a restore
		}
	}
	fresh := map[int32]*takeover{}
	for p := range shares {
		if s.claims[p] == nil {
			fresh[p] = &takeover{done: make(chan struct{})}
			s.takeovers[p] = fresh[p]
		}
	}
	if len(fresh) == 0 {
		return
	}
	taken := map[string][]int32{} // a copy: sarama goes on to sort the assignment
	for topic, partitions := range topics {
		for _, p := range partitions {
			if fresh[p] != nil {
				taken[topic] = append(taken[topic], p)
			}
		}
	}
	s.loop.Go(func() {
		legacies, err := s.takeOver(fresh, taken)
		for p, t := range fresh {
			t.legacy, t.err = legacies[p], err
			close(t.done)
		}
	})
}

// takenOver waits for the takeover of a partition.
func (s *session) takenOver(ctx context.Context, partition int32) (legacy, error) {
	s.mu.Lock()
	t := s.takeovers[partition]
	s.mu.Unlock()
	select {
	case <-t.done:
		return t.legacy, t.err
	case <-ctx.Done():
		return legacy{}, ctx.Err()
	}
}
