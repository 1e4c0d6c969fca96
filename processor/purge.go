package processor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tidemark-dev/tidemark/internal/kafka"
	"github.com/tidemark-dev/tidemark/topology"
)

// purgeInterval is Kafka Streams' repartition.purge.interval.ms.
const purgeInterval = 30 * time.Second

// A purger deletes from repartition topics what all their readers have
// committed. It does so from the partitions that this instance has. What is under
// way when the instance stops ends with its client, and Run returns then.
type purger struct {
	processor *Processor
	done      map[topology.Position]int64 // up to where it has deleted, by partition
	wrong     string                      // what it has said last
}

// purge deletes until ctx is done.
func (p *Processor) purge(ctx context.Context) {
	u := &purger{processor: p, done: map[topology.Position]int64{}}
	if len(u.purged()) == 0 {
		return
	}
	for sleep(ctx, purgeInterval) == nil {
		if err := u.once(ctx); ctx.Err() == nil {
			u.say(cured(err))
		}
	}
}

// say says what is wrong, once.
func (u *purger) say(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != u.wrong {
		u.processor.config.Logger.Warn("committed records stay in a repartition topic", "error", text)
	}
	u.wrong = text
}

// purged returns the repartition topics, but those that a global table keeps.
func (u *purger) purged() (names []string) {
	for _, r := range u.processor.topology.Repartitions() {
		if !slices.ContainsFunc(u.processor.topology.Globals(), func(g topology.Global) bool { return g.Topic == r.Topic }) {
			names = append(names, r.Topic)
		}
	}
	return names
}

// once deletes what is committed by now.
func (u *purger) once(ctx context.Context) error {
	var wrong []error
	for _, topic := range u.purged() {
		committed, err := u.committed(ctx, topic)
		for partition, offset := range committed {
			if offset <= u.done[topology.Position{Topic: topic, Partition: partition}] {
				delete(committed, partition)
			}
		}
		if err == nil && len(committed) > 0 {
			err = kafka.Topics{Client: u.processor.client}.DeleteRecords(ctx, topic, committed)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("topic %q: %w", topic, err))
			continue
		}
		for partition, offset := range committed {
			u.done[topology.Position{Topic: topic, Partition: partition}] = offset
		}
	}
	return errors.Join(wrong...)
}

// committed returns the offsets that all readers of a topic have committed, in
// the partitions that this instance has for the first of them.
func (u *purger) committed(ctx context.Context, topic string) (map[int32]int64, error) {
	u.processor.mu.Lock()
	members := u.processor.members
	u.processor.mu.Unlock()
	var readers []*member
	for _, m := range members {
		if slices.Contains(m.group.Inputs, topic) {
			readers = append(readers, m)
		}
	}
	if len(readers) == 0 {
		return nil, nil
	}
	offsets := map[int32]int64{}
	for _, t := range readers[0].tasks() {
		if t.partition < u.processor.topics.partitions[topic] {
			offsets[t.partition] = -1
		}
	}
	if len(offsets) == 0 {
		return nil, nil
	}
	for i, m := range readers {
		read, err := committedOffsets(ctx, m.processor.client, m.group.Name, map[string][]int32{topic: slices.Collect(maps.Keys(offsets))}, false)
		if err != nil {
			return nil, err
		}
		for _, c := range read {
			if i == 0 || c.offset < offsets[c.partition] {
				offsets[c.partition] = c.offset
			}
		}
	}
	return offsets, nil
}
