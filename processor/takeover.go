package processor

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/kafka"
)

// A takeover is done before a task of its partition restores.
type takeover struct {
	done   chan struct{}
	legacy legacy
	err    error
}

// A legacy is what the last owner of a partition has left.
type legacy struct {
	begun  []string // topics of which something is committed
	own    bool     // the partition is marked as ours already
	clocks string   // of the task
	tables string   // what was noted of its tables, see tableNotes
}

// The metadata of a partition's committed offsets names the producer of the
// partition's owner, from before the owner's first record of it until the owner
// gives it up in good order. A new owner that finds another's name knows that that
// one died, lost its membership, or is a zombie: see [session.succeed]. In that of
// the first input the task's clocks follow, and what its tables were then.
const (
	ownerMark  = "tidemark-owner:"
	clocksMark = "tidemark-clocks:"
	tablesMark = "tidemark-tables:"
)

// Marks stand in the metadata of a committed offset, each "" if it is not there.
type marks struct {
	owner, clocks, tables string
	strays                bool // see strayMark
}

// metadata is what is committed with a task's offsets.
func (m marks) metadata() *string {
	var parts []string
	for _, part := range [][2]string{{ownerMark, m.owner}, {clocksMark, m.clocks}, {tablesMark, m.tables}} {
		if part[1] != "" {
			parts = append(parts, part[0]+part[1])
		}
	}
	if m.strays {
		parts = append(parts, strayMark)
	}
	text := strings.Join(parts, " ")
	return &text
}

func parseMetadata(text string) (m marks) {
	for part := range strings.FieldsSeq(text) {
		m.strays = m.strays || part == strayMark
		for mark, to := range map[string]*string{ownerMark: &m.owner, clocksMark: &m.clocks, tablesMark: &m.tables} {
			if rest, ok := strings.CutPrefix(part, mark); ok {
				*to = rest
			}
		}
	}
	return m
}

// owner is what the session marks its partitions with, "" without transactions.
func (s *session) owner() string {
	if s.member.transactionalID() == "" {
		return ""
	}
	return s.producer.Holder().String()
}

// takeOver ends the transactions that the last owners of partitions left open, and
// returns what they have committed. It runs beside the join, which may itself be
// waiting for such a transaction's offsets. It gives up partitions that have gone
// elsewhere meanwhile.
func (s *session) takeOver(fresh map[int32]*takeover, topics map[string][]int32) (map[int32]legacy, error) {
	done := map[string]bool{}
	what := "the last owner's open transaction, of group " + s.group.Name
	defer s.processor.waits.Clear(what, "")
	for {
		if !s.keep(fresh, topics) {
			return nil, nil
		}
		left, err := committedOffsets(s.ctx, s.processor.client, s.group.Name, topics, true)
		stable := !errors.Is(err, sarama.ErrUnstableOffsetCommit)
		if !stable {
			left, err = committedOffsets(s.ctx, s.processor.client, s.group.Name, topics, false) // of before the open transactions
		}
		if err != nil {
			return nil, err
		}
		legacies, owners := s.legacies(left)
		succeeded, err := s.succeed(owners, done, stable)
		if err != nil || stable && succeeded {
			return legacies, err
		}
		s.processor.waits.Expect(what, "", "the coordinator has not decided it, or the owner is alive and ends it itself: is a broker down?")
		if err := sleep(s.ctx, 20*time.Millisecond); err != nil { // the coordinator is about to take a decision down
			return nil, err
		}
	}
}

// legacies returns what last owners have left, and who they are.
func (s *session) legacies(left []committed) (map[int32]legacy, map[int32]string) {
	legacies, owners := map[int32]legacy{}, map[int32]string{}
	for _, c := range left {
		if c.offset < 0 {
			continue
		}
		l := legacies[c.partition]
		l.begun = append(l.begun, c.topic)
		l.own = l.own || c.marks.owner != "" && c.marks.owner == s.owner()
		l.clocks, l.tables = cmp.Or(c.marks.clocks, l.clocks), cmp.Or(c.marks.tables, l.tables)
		legacies[c.partition] = l
		if c.marks.owner != "" {
			owners[c.partition] = c.marks.owner
		}
	}
	return legacies, owners
}

// keep leaves partitions out that are not the session's any more, and tells whether
// there are others.
func (s *session) keep(fresh map[int32]*takeover, topics map[string][]int32) (some bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, partitions := range topics {
		topics[topic] = slices.DeleteFunc(partitions, func(p int32) bool {
			return s.shares[p] == 0 || s.takeovers[p] != fresh[p]
		})
		some = some || len(topics[topic]) > 0
	}
	return some
}

// succeed ends what the owners that partitions are marked with left open, and tells
// whether all of it is ended. A mark is of the past, and the instance that it names
// may be alive: what the group says now decides.
//
//   - The instance is a member, with a newer producer: that one's start has ended
//     what its former life left open.
//   - It is a member with the same producer: its last commit of the partition may be
//     under way. Once all offsets are stable it is not, and the member stands still.
//   - Else it is gone.
//
// Fencing a member that is at work would cost it its session, and its next session
// could do the same to us.
func (s *session) succeed(owners map[int32]string, done map[string]bool, stable bool) (all bool, err error) {
	done[s.owner()] = true
	all = true
	var group *groupView
	for p, owner := range owners {
		if done[owner] {
			continue
		}
		if group == nil {
			if group, err = s.describe(); err != nil {
				return false, err
			}
		}
		holder := kafka.ParseHolder(owner)
		now, member := group.owners[holder.ID]
		switch {
		case !group.stable || !group.mine[p]:
			all = false // it is about to change
			continue
		case holder.ID == s.producer.Holder().ID || member && now != owner:
		case member && !stable:
			all = false
			continue
		default:
			s.log.Info("ending the transaction of a partition's last owner", "partition", p, "owner", owner)
			if err := kafka.Fence(s.ctx, s.processor.client, holder, transactionTimeout); err != nil {
				return false, err
			}
			all = all && stable
		}
		done[owner] = true
	}
	return all, nil
}

// A groupView is a group as its coordinator sees it.
type groupView struct {
	stable bool              // else it is sharing its partitions out
	owners map[string]string // of all members, by transactional id
	mine   map[int32]bool    // partitions that this member has
}

func (s *session) describe() (*groupView, error) {
	view := &groupView{owners: map[string]string{}, mine: map[int32]bool{}}
	g, err := s.member.coordinator().Describe(s.ctx)
	if err != nil {
		return nil, err
	}
	view.stable = g.State == "Stable"
	for _, m := range g.Members {
		sub, a := said(m)
		if sub == nil || a == nil {
			continue
		}
		id := kafka.ParseHolder(sub.Owner).ID
		view.owners[id] = sub.Owner
		if id != s.member.transactionalID() {
			continue
		}
		for _, partitions := range a.Topics {
			for _, p := range partitions {
				view.mine[p] = true
			}
		}
	}
	return view, nil
}
