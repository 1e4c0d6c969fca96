package processor

import (
	"context"
	"fmt"
	"time"

	"github.com/tidemark-dev/tidemark/internal/replica"
)

// Before the first record of a partition, its offsets, its stores and their changelogs
// are compared, each with what the others say of it: see "What is compared at the
// start" in docs/design.md. What is lost is restored from what is there; if that is
// impossible, the instance ends and says what to do.

// noted returns what the committed offsets say of the store: nothing, if they were
// committed before it had a row, by an older version, or by hand.
func (k *kept) noted() (tableNote, error) {
	t := k.task
	if t.legacy.tables == "" {
		if len(t.legacy.begun) > 0 {
			t.log.Warn("the committed offsets say nothing of the table, as those of an older version or set by hand do: they are believed", "table", k.spec.Name, "partition", t.partition)
		}
		return tableNote{}, nil
	}
	notes, err := parseTableNotes(t.legacy.tables)
	switch {
	case err != nil:
		return tableNote{}, k.foreign(fmt.Sprintf("%v: did a newer version commit them?", err))
	case notes.Group != digestOf(t.group.Name):
		return tableNote{}, k.foreign("they are those of another application or group")
	case notes.Cluster != digestOf(t.processor.clusterID()):
		return tableNote{}, k.foreign("they are those of another Kafka cluster")
	}
	return notes.tables[digestOf(k.spec.Name)], nil
}

const boundsPatience = 3 * time.Second // a new leader learns late how far its followers are

// bounds returns which offsets the changelog has. It waits for one that is known to
// end later.
func (k *kept) bounds(ctx context.Context, least int64) (s replica.Span, err error) {
	for began := time.Now(); ; {
		s.Start, s.End, err = k.changelog().Bounds()
		if err != nil || s.End >= least || time.Since(began) > boundsPatience {
			return s, err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return s, err
		}
	}
}

// checkNote refuses a changelog that is known not to have the table's rows.
func (k *kept) checkNote(note tableNote, source string, end int64) error {
	switch {
	case note.end == 0: // it may be empty
		return nil
	case note.Changelog != digestOf(source):
		return k.lost("it is not the one that the group's offsets were committed with: was it deleted, and made anew?")
	case note.Meaning != digestOf(k.spec.Meaning):
		return k.otherMeaning("")
	case note.end > end:
		return k.lost(fmt.Sprintf("it ends at %d, and had reached %d: has the cluster lost records (unclean.leader.election.enable)?", end, note.end))
	}
	return nil
}

// fits returns the check of rows that are on the disk: why they are to be wiped, or
// why the task cannot go on with them.
func (k *kept) fits(note tableNote, changelog replica.Span) replica.Check {
	return func(was replica.Home, position int64) (wipe, refuse error) {
		switch {
		case was.Meaning != k.spec.Meaning && note.end > 0: // the changelog's rows are the program's
			return fmt.Errorf("its rows are %q, and the table's are %q", was.Meaning, k.spec.Meaning), nil
		case was.Meaning != k.spec.Meaning:
			return nil, k.otherMeaning(fmt.Sprintf(", those are %q", was.Meaning))
		}
		return nil, k.checkStart(position, changelog)
	}
}

// checkStart refuses a changelog that was emptied: compaction leaves the last record.
func (k *kept) checkStart(position int64, changelog replica.Span) error {
	t := k.task
	switch {
	case position >= changelog.Start:
		return nil
	case changelog.Start == changelog.End && len(t.legacy.begun) > 0:
		return k.lost(fmt.Sprintf("all its records, up to %d, were deleted", changelog.End))
	case position == 0:
		t.log.Warn("the changelog does not begin at 0: if records were deleted from it, and not compacted away, rows are missing", "table", k.spec.Name, "partition", t.partition, "start", changelog.Start)
	}
	return nil
}

// lost says that the changelog does not have what the offsets stand for.
func (k *kept) lost(why string) error {
	return k.refuse("changelog topic %q has lost the rows of table %q: %s", k.spec.Changelog, k.spec.Name, why)
}

// foreign says that the offsets are not ours.
func (k *kept) foreign(why string) error {
	return k.refuse("the committed offsets of group %q cannot be used: %s", k.task.group.Name, why)
}

// otherMeaning says that the rows that are there are not the program's.
func (k *kept) otherMeaning(those string) error {
	return k.refuse("table %q was made otherwise: its rows here are %q%s; to keep them, give the store another name", k.spec.Name, k.spec.Meaning, those)
}

// refuse ends the instance, with the way to begin again.
func (k *kept) refuse(format string, args ...any) error {
	var changelogs []string
	for _, other := range k.task.stores {
		changelogs = append(changelogs, other.spec.Changelog)
	}
	return &startError{fmt.Errorf("partition %d: %s. To make the tables again from their inputs %q, stop all instances, and delete the topics %q and the group %q",
		k.task.partition, fmt.Sprintf(format, args...), k.task.group.Inputs, changelogs, k.task.group.Name)}
}
