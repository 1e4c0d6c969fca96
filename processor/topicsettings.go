package processor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/topology"
)

// relied are the settings of topics on which tidemark's promises stand.
var relied = []string{"cleanup.policy", "message.timestamp.type"}

// topicSettings are those that a topic is created with: the program's for all
// topics, those for this one, and tidemark's own.
func (c Config) topicSettings(topic string, own map[string]string) map[string]string {
	all := maps.Clone(c.Topics[""])
	if all == nil {
		all = map[string]string{}
	}
	for _, s := range []map[string]string{c.Topics[topic], own} {
		maps.Copy(all, s)
	}
	return all
}

// wrongTopics lists what is wrong with Topics before anything is known of the
// topology.
func (c Config) wrongTopics() (wrong []error) {
	for topic, settings := range c.Topics {
		for _, name := range relied {
			if _, ok := settings[name]; ok {
				wrong = append(wrong, fmt.Errorf("%s: %s cannot be set: tables rely on it", fmt.Sprintf("Topics[%q]", topic), name))
			}
		}
	}
	return wrong
}

// strangeTopics refuses settings of topics that tidemark does not create.
func (p *Processor) strangeTopics() (wrong []error) {
	ours := []string{"", p.deadLetters()}
	for _, r := range p.topology.Repartitions() {
		ours = append(ours, r.Topic)
	}
	for _, g := range p.topology.Groups() {
		for _, s := range g.Stores {
			ours = append(ours, s.Changelog)
		}
	}
	for topic := range p.config.Topics {
		if !slices.Contains(ours, topic) {
			wrong = append(wrong, &startError{fmt.Errorf("%s: tidemark creates no such topic: it creates %q", fmt.Sprintf("Topics[%q]", topic), ours[1:])})
		}
	}
	return wrong
}

// checkOwned refuses a repartition topic that is somebody else's: one with records
// of before the application's first start. What one application has read there
// would be deleted before the other reads it, and both would read all of it.
func (p *Processor) checkOwned(ctx context.Context, topic string) error {
	ends, err := p.broker().Ends(ctx, topic)
	if err != nil {
		return err
	}
	filled := slices.ContainsFunc(ends, func(end int64) bool { return end > 0 })
	if !filled {
		return nil
	}
	for _, g := range p.topology.Groups() {
		begun, err := p.hasCommitted(ctx, g)
		if err != nil || begun {
			return err
		}
	}
	return &startError{fmt.Errorf("repartition topic %q has had records already, and no group of application %q has ever committed an offset: "+
		"does another application use the topic? Give it another name. If it is left from before this application was reset, delete it", topic, p.topology.Application())}
}

// hasCommitted tells whether a group has committed anything of its inputs: it does
// so before its first record.
func (p *Processor) hasCommitted(ctx context.Context, g *topology.Group) (bool, error) {
	inputs, err := inputPartitions(ctx, p.client, g)
	if err != nil {
		return false, err
	}
	all, err := committedOffsets(ctx, p.client, g.Name, inputs, false)
	if errors.Is(err, sarama.ErrGroupIDNotFound) {
		return false, nil
	}
	return slices.ContainsFunc(all, func(c committed) bool { return c.offset >= 0 }), err
}
