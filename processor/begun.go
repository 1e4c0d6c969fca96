package processor

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Before the first record of a partition its offsets, its local table and its
// changelog are compared, each with what the others say of it: see "What is
// compared at the start" in docs/design.md. What is lost is restored from what is
// there, and where that cannot be, the instance ends and says what to do.

// checkBegun refuses rows of which nobody knows what they are made of. Before the
// first record of a partition its offsets are committed: where there are rows
// and no offsets, those are lost, or are another group's.
func (t *task) checkBegun() error {
	var filled []*kept
	for _, k := range t.stores {
		if k.filled {
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
		other := t.topology.Application() + "-" + k.Name
		fresh := t.freshInputs()
		if other == t.group.Name || len(fresh) == 0 {
			continue
		}
		read, err := committedOffsets(t.session.ctx, t.client, other, fresh, false)
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
		changelogs = append(changelogs, k.Changelog)
	}
	return &startError{fmt.Errorf("partition %[1]d: the table of changelog topic %[2]q has rows already, but %[3]s. "+
		"To read the inputs from the start would count everything twice. "+
		"To go on, set the offsets of group %[4]q to where the rows stand; to begin anew, stop all instances, and delete the topics %[5]q and the group %[4]q",
		t.partition, k.Changelog, why, t.group.Name, changelogs)}
}

// noted is what the committed offsets say of the store; nothing, if they were
// committed before it had a row, by an older version, or by hand.
func (k *kept) noted() (tableNote, error) {
	if k.legacy.tables == "" {
		if len(k.legacy.begun) > 0 {
			k.log.Warn("the committed offsets say nothing of the table, as those of an older version or set by hand do: they are believed", "table", k.Name, "partition", k.partition)
		}
		return tableNote{}, nil
	}
	notes, err := parseTableNotes(k.legacy.tables)
	switch {
	case err != nil:
		return tableNote{}, k.foreign(fmt.Sprintf("%v: did a newer version commit them?", err))
	case notes.Group != digestOf(k.group.Name):
		return tableNote{}, k.foreign("they are those of another application or group")
	case notes.Cluster != digestOf(k.clusterID()):
		return tableNote{}, k.foreign("they are those of another Kafka cluster")
	}
	return notes.tables[digestOf(k.Name)], nil
}

const boundsPatience = 3 * time.Second // a new leader learns late how far its followers are

// bounds returns where the changelog begins and ends. It waits for one that is known
// to end later.
func (k *kept) bounds(ctx context.Context, least int64) (start, end int64, err error) {
	for began := time.Now(); ; {
		start, end, err = k.changelog().Bounds()
		if err != nil || end >= least || time.Since(began) > boundsPatience {
			return start, end, err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return 0, 0, err
		}
	}
}

// checkNote refuses a changelog that is known not to hold the table's rows.
func (k *kept) checkNote(note tableNote, end int64) error {
	switch {
	case note.end == 0: // it may be empty
		return nil
	case note.Changelog != digestOf(k.source):
		return k.lost("it is not the one that the group's offsets were committed with: was it deleted, and made anew?")
	case note.Meaning != digestOf(k.Meaning):
		return k.otherMeaning("")
	case note.end > end:
		return k.lost(fmt.Sprintf("it ends at %d, and had reached %d: has the cluster lost records (unclean.leader.election.enable)?", end, note.end))
	}
	return nil
}

// checkStart refuses a changelog that was emptied: compaction leaves the last record.
func (k *kept) checkStart(position, start, end int64) error {
	switch {
	case position >= start:
		return nil
	case start == end && len(k.legacy.begun) > 0:
		return k.lost(fmt.Sprintf("all its records, up to %d, were deleted", end))
	case position == 0:
		k.log.Warn("the changelog does not begin at 0: if records were deleted from it, and not compacted away, rows are missing", "table", k.Name, "partition", k.partition, "start", start)
	}
	return nil
}

// lost says that the changelog has not what the offsets stand for.
func (k *kept) lost(why string) error {
	return k.refuse("changelog topic %q has lost the rows of table %q: %s", k.Changelog, k.Name, why)
}

// foreign says that the offsets are not ours.
func (k *kept) foreign(why string) error {
	return k.refuse("the committed offsets of group %q cannot be used: %s", k.group.Name, why)
}

// otherMeaning says that the rows that are there are not the program's.
func (k *kept) otherMeaning(those string) error {
	return k.refuse("table %q was made otherwise: its rows here are %q%s; to keep them, give the store another name", k.Name, k.Meaning, those)
}

// refuse ends the instance, with the way to begin again.
func (k *kept) refuse(format string, args ...any) error {
	var changelogs []string
	for _, k := range k.stores {
		changelogs = append(changelogs, k.Changelog)
	}
	return &startError{fmt.Errorf("partition %d: %s. To make the tables again from their inputs %q, stop all instances, and delete the topics %q and the group %q",
		k.partition, fmt.Sprintf(format, args...), k.group.Inputs, changelogs, k.group.Name)}
}
