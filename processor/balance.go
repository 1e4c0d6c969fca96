package processor

import (
	"encoding/json"
	"errors"
	"sync/atomic"

	"github.com/IBM/sarama"
)

// A balancer is sarama's cooperative sticky strategy, listened to: its hooks
// are the only place where a member sees a rebalance begin and end. They also
// carry what the instances of an application tell each other.
type balancer struct {
	sticky
	member     *member
	joining    atomic.Bool // a JoinGroup is under way: the broker may count a new generation already
	generation atomic.Int32
	verdict    atomic.Pointer[string] // why the application is to stop, if it is
}

type sticky interface {
	sarama.BalanceStrategy
	sarama.SubscriptionUserDataBalanceStrategy
	sarama.OnAssignmentBalanceStrategy
	SupportedProtocols() []sarama.RebalanceProtocol
}

// subscription is what a member tells the others.
type subscription struct {
	Sticky    []byte `json:"sticky"`
	Advertise string `json:"advertise,omitempty"`
	Stop      string `json:"stop,omitempty"` // the application is to stop, and why
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
	if s := b.member.session.Load(); s != nil {
		s.gate.Lock()
		b.joining.Store(true)
		s.gate.Unlock()
	}
	b.member.update()
	own := subscription{Sticky: inner, Advertise: b.member.config.Advertise}
	if v := b.verdict.Load(); v != nil {
		own.Stop = *v
	}
	return json.Marshal(own)
}

// Plan shares the partitions out, by the leader. A verdict of one member is for all.
func (b *balancer) Plan(members map[string]sarama.ConsumerGroupMemberMetadata, topics map[string][]int32) (sarama.BalanceStrategyPlan, error) {
	inner := make(map[string]sarama.ConsumerGroupMemberMetadata, len(members))
	for id, m := range members {
		var s subscription
		if err := json.Unmarshal(m.UserData, &s); err != nil {
			return nil, errors.New("group has a member that is not of this application: is its name used twice?")
		}
		if s.Stop != "" {
			b.verdict.Store(&s.Stop)
		}
		m.UserData = s.Sticky
		inner[id] = m
	}
	return b.sticky.Plan(inner, topics)
}

// AssignmentData is what the leader tells a member.
func (b *balancer) AssignmentData(string, map[string][]int32, int32) ([]byte, error) {
	if v := b.verdict.Load(); v != nil {
		return []byte(*v), nil
	}
	return nil, nil
}

// OnAssignment is called after every SyncGroup.
func (b *balancer) OnAssignment(a *sarama.ConsumerGroupMemberAssignment, generation int32) {
	b.sticky.OnAssignment(a, generation)
	b.generation.Store(generation)
	b.member.log.Info("partitions assigned", "partitions", a.Topics, "generation", generation)
	s := b.member.session.Load()
	if len(a.UserData) > 0 {
		s.fail(&stopError{string(a.UserData)})
	}
	s.assigned(a.Topics)
	b.joining.Store(false)
	b.member.update()
}

// A stopError means that an instance decided to stop the application.
type stopError struct{ reason string }

func (e *stopError) Error() string { return "the application is stopped: " + e.reason }
