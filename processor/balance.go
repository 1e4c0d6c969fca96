package processor

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/IBM/sarama"
)

// A balancer is sarama's cooperative sticky strategy for partition numbers: the
// partitions with one number of all inputs go to one member together. It is
// listened to, because its hooks are the only place where a member sees a
// rebalance begin and end. They also carry what the instances of an application
// tell each other.
type balancer struct {
	sticky
	member     *member
	joining    atomic.Bool // a JoinGroup is under way: the broker may count a new generation already
	generation atomic.Int32
	verdict    atomic.Pointer[string] // why the application is to stop, if it is

	strangers map[string]string // members that Plan left out, and why
	owners    map[string]string // of all members that Plan has seen
}

type sticky interface {
	sarama.BalanceStrategy
	sarama.SubscriptionUserDataBalanceStrategy
	sarama.OnAssignmentBalanceStrategy
	SupportedProtocols() []sarama.RebalanceProtocol
}

// subscription is what a member tells the others.
type subscription struct {
	Application string `json:"application"`
	Sticky      []byte `json:"sticky"`
	Owner       string `json:"owner,omitempty"` // what it marks partitions with
	Advertise   string `json:"advertise,omitempty"`
	Tables      digest `json:"tables,omitempty"` // what it keeps, 0 in older versions
	Stop        string `json:"stop,omitempty"`   // the application is to stop, and why
}

func newBalancer(m *member) *balancer {
	return &balancer{sticky: sarama.NewBalanceStrategyCooperativeSticky().(sticky), member: m}
}

// SubscriptionUserData is called before every JoinGroup. It lets the commit
// under way finish, for it belongs to the old generation, and holds up the next.
func (b *balancer) SubscriptionUserData(topics []string) ([]byte, error) {
	inner, err := b.sticky.SubscriptionUserData(topics)
	if err != nil {
		return nil, err
	}
	own := subscription{Application: b.member.processor.topology.Application(), Sticky: inner, Advertise: b.member.processor.config.Advertise, Tables: b.member.version()}
	if s := b.member.session.Load(); s != nil {
		s.transactions.gate.Lock()
		b.joining.Store(true)
		s.transactions.gate.Unlock()
		own.Owner = s.owner()
	}
	b.awaited()
	b.member.processor.update()
	if v := b.verdict.Load(); v != nil {
		own.Stop = *v
	}
	return json.Marshal(own)
}

func (b *balancer) what() string { return b.member.String() + " to share its partitions out" }

// awaited says that the member waits for its share.
func (b *balancer) awaited() {
	b.member.processor.waits.Expect(b.what(), "", "this takes as long as its slowest member does, or as the session timeout of one that has died, or group.initial.rebalance.delay.ms; does the coordinator answer?")
}

// An assignment is what the leader tells a member beside its partitions.
type assignment struct {
	For     string `json:"for,omitempty"`     // the member's producer: a restarted one may be given what was said to its former life
	Stop    string `json:"stop,omitempty"`    // the application is to stop, and why
	Refused string `json:"refused,omitempty"` // the member is to stop, and why
}

// together stands for all inputs in what the sticky strategy is told.
const together = "partitions"

// Plan shares the partitions out, by the leader. A verdict of one member is for all.
func (b *balancer) Plan(members map[string]sarama.ConsumerGroupMemberMetadata, topics map[string][]int32) (sarama.BalanceStrategyPlan, error) {
	inner := make(map[string]sarama.ConsumerGroupMemberMetadata, len(members))
	b.strangers, b.owners = map[string]string{}, map[string]string{}
	foreign := map[int32]bool{} // numbers that strangers still have
	for id, m := range members {
		var s subscription
		if err := json.Unmarshal(m.UserData, &s); err != nil {
			return nil, &startError{errors.New("group has a member that is not of this application: is its name used twice?")}
		}
		if s.Stop != "" && s.Application == b.member.processor.topology.Application() {
			b.verdict.Store(&s.Stop)
		}
		b.owners[id] = s.Owner
		owned := ownedNumbers(m.OwnedPartitions)
		if why := b.stranger(m.Topics, s); why != "" {
			b.strangers[id] = why
			for _, p := range owned {
				foreign[p] = true
			}
			continue
		}
		m.UserData, m.Topics, m.OwnedPartitions = s.Sticky, []string{together}, []*sarama.OwnedPartition{{Topic: together, Partitions: owned}}
		inner[id] = m
	}
	var all []int32
	for _, topic := range b.member.group.Inputs {
		all = append(all, topics[topic]...)
	}
	all = slices.DeleteFunc(distinct(all), func(p int32) bool { return foreign[p] })
	shares, err := b.sticky.Plan(inner, map[string][]int32{together: all})
	if err != nil {
		return nil, err
	}
	plan := sarama.BalanceStrategyPlan{}
	for id := range members {
		plan[id] = map[string][]int32{}
		for _, topic := range b.member.group.Inputs {
			for _, p := range shares[id][together] {
				if slices.Contains(topics[topic], p) {
					plan.Add(id, topic, p)
				}
			}
		}
	}
	return plan, nil
}

// stranger says why a member that reads these topics gets no partitions, "" if it
// reads and keeps what this one does. To share them out among both would take
// what belongs together apart, or mix rows of two meanings.
func (b *balancer) stranger(topics []string, s subscription) string {
	const advice = "they run different versions of the topology: stop all of one before the other starts"
	if own := b.member.processor.topology.Application(); s.Application != own {
		return fmt.Sprintf("the group's leader, %s, is of application %q, and this instance of %q: they would share the group and its tables: rename a store of one of them",
			b.member.processor.instance, own, s.Application)
	}
	if own := b.member.group.Inputs; !slices.Equal(distinct(topics), own) {
		return fmt.Sprintf("the group's leader, %s, reads %q, and this instance %q: %s", b.member.processor.instance, own, topics, advice)
	}
	if own := b.member.version(); s.Tables != 0 && s.Tables != own {
		return fmt.Sprintf("the group's leader, %s, keeps other tables than this instance: %s", b.member.processor.instance, advice)
	}
	return ""
}

// version tells the tables of one version of the topology from those of another.
func (m *member) version() digest {
	var all strings.Builder
	for _, s := range m.group.Stores {
		fmt.Fprintf(&all, "%q %q\n", s.Name, s.Meaning)
	}
	return digestOf(all.String())
}

// ownedNumbers are the numbers of the partitions that a member still has.
func ownedNumbers(owned []*sarama.OwnedPartition) (all []int32) {
	for _, o := range owned {
		all = append(all, o.Partitions...)
	}
	return distinct(all)
}

// distinct sorts, and leaves out what is there twice.
func distinct[T cmp.Ordered](all []T) []T { return slices.Compact(slices.Sorted(slices.Values(all))) }

// AssignmentData is what the leader tells a member.
func (b *balancer) AssignmentData(member string, _ map[string][]int32, _ int32) ([]byte, error) {
	a := assignment{Refused: b.strangers[member]}
	if v := b.verdict.Load(); v != nil {
		a.Stop = *v
	}
	if a == (assignment{}) {
		return nil, nil
	}
	a.For = b.owners[member]
	return json.Marshal(a)
}

// OnAssignment is called after every SyncGroup.
func (b *balancer) OnAssignment(a *sarama.ConsumerGroupMemberAssignment, generation int32) {
	b.sticky.OnAssignment(a, generation)
	b.generation.Store(generation)
	var mine []int32
	for _, partitions := range a.Topics {
		mine = append(mine, partitions...)
	}
	b.member.log.Info("partitions assigned", "partitions", distinct(mine), "generation", generation)
	s := b.member.session.Load()
	if len(a.UserData) > 0 {
		s.told(a.UserData)
	}
	s.assigned(a.Topics)
	b.joining.Store(false)
	s.transactions.wake() // for what had to wait
	b.member.processor.waits.Clear(b.what(), "")
	b.member.processor.update()
}

// told does what the leader says.
func (s *session) told(data []byte) {
	var a assignment
	switch err := json.Unmarshal(data, &a); {
	case err != nil:
		s.fail(fmt.Errorf("what the group's leader says, %q: %w", data, err))
	case a.For != s.owner():
		s.log.Info("what the group's leader said to this instance's former life is over", "stop", a.Stop, "refused", a.Refused)
	case a.Stop != "":
		s.fail(&stopError{a.Stop})
	case a.Refused != "":
		s.fail(&startError{errors.New(a.Refused)})
	}
}

// A stopError means that an instance decided to stop the application.
type stopError struct{ reason string }

func (e *stopError) Error() string { return "the application is stopped: " + e.reason }
