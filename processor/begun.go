package processor

import (
	"fmt"
	"slices"
)

// checkBegun refuses rows of which nobody knows which records they are made of. A
// partition's offsets are committed before its first record is processed. So if there
// are rows and no offsets, the offsets are lost, or the rows are another group's.
func (t *task) checkBegun() error {
	var filled []*kept
	for _, k := range t.stores {
		if k.replica.Filled() {
			filled = append(filled, k)
		}
	}
	if len(filled) == 0 {
		return nil
	}
	if len(t.legacy.begun) == 0 {
		return t.unknown(filled[0], fmt.Sprintf("group %q has no committed offset of its inputs %q: have they expired (offsets.retention.minutes), was the group deleted, or were these tables another group's before the topology was changed?",
			t.group.Name, t.group.Inputs))
	}
	// An input may have been added. Or what was two groups is one now: then the
	// other one, which had its name of the store, has read it.
	for _, k := range filled {
		other := t.processor.topology.Application() + "-" + k.spec.Name
		fresh := t.freshInputs()
		if other == t.group.Name || len(fresh) == 0 {
			continue
		}
		read, err := committedOffsets(t.session.ctx, t.processor.client, other, fresh, false)
		if err != nil {
			return err
		}
		for _, c := range read {
			if c.offset >= 0 {
				return t.unknown(k, fmt.Sprintf("they are made of input %q as group %q has read it, of which group %q has no committed offset: were they two groups before the topology was changed?",
					c.topic, other, t.group.Name))
			}
		}
	}
	return nil
}

// freshInputs are those of which nothing is committed, as partitions by topic.
func (t *task) freshInputs() map[string][]int32 {
	fresh := map[string][]int32{}
	for _, in := range t.inputs {
		if !slices.Contains(t.legacy.begun, in.Topic()) {
			fresh[in.Topic()] = []int32{t.partition}
		}
	}
	return fresh
}

func (t *task) unknown(k *kept, why string) error {
	var changelogs []string
	for _, k := range t.stores {
		changelogs = append(changelogs, k.spec.Changelog)
	}
	return &startError{fmt.Errorf("partition %[1]d: the table of changelog topic %[2]q has rows already, but %[3]s. "+
		"To read the inputs from the start would count everything twice. "+
		"To go on, set the offsets of group %[4]q to where the rows stand; to begin anew, stop all instances, and delete the topics %[5]q and the group %[4]q",
		t.partition, k.spec.Changelog, why, t.group.Name, changelogs)}
}
