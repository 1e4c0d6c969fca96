package processor_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// counting is a cluster with one instance that has counted some records.
func counting(t *testing.T, brokers int) (*cluster, *instance) {
	t.Helper()
	t.Parallel()
	c := newCluster(t, brokers)
	c.create(journal.Name, 3, nil)
	c.create(counts.Name, 2, nil)
	c.produce(journal.Name, greetings(200, 20)...)
	i := c.start(c.count(), nil)
	c.drained("count-"+counted.Name, journal.Name)
	return c, i
}

// until produces records until a condition holds.
func (c *cluster) until(done func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if c.produce(journal.Name, greetings(20, 20)...); time.Now().After(deadline) {
			c.t.Fatal("what was waited for does not happen")
		}
	}
}

// sound goes on for a while, compares everything, and sees that the instance
// has not ended.
func (c *cluster) sound(i *instance) {
	c.t.Helper()
	c.produce(journal.Name, greetings(200, 20)...)
	c.counted(i)
	if err := i.stop(); err != nil {
		c.t.Error(err)
	}
}

// one sees that the instance has had one session.
func (i *instance) one() {
	i.t.Helper()
	if n := i.Status().Counts.Sessions; n != 1 {
		i.t.Errorf("the instance has joined %d times", n)
	}
}

// The broker ends the transaction, and the answer is lost: nobody can know but
// by asking, and asking ends no session.
func TestAnswerOfEndTxnLost(t *testing.T) {
	c, i := counting(t, 1)
	for range 4 {
		n := c.network.Losses()
		c.network.Lose(kmsg.EndTxn, 1)
		c.until(func() bool { return c.network.Losses() > n })
	}
	i.one()
	c.sound(i)
}

// The transaction is not ended, and the connection is lost.
func TestEndTxnLost(t *testing.T) {
	c, i := counting(t, 1)
	var lost atomic.Int32
	for n := range int32(4) {
		c.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
			lost.Add(1)
			return nil, errors.New("lost"), true
		})
		c.until(func() bool { return lost.Load() > n })
	}
	i.one()
	c.sound(i)
}

// Requests are carried out, and their answers are lost.
func TestAnswersLost(t *testing.T) {
	c, i := counting(t, 1)
	for _, key := range []kmsg.Key{
		kmsg.Produce, kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.Heartbeat, kmsg.Fetch,
	} {
		n := c.network.Losses()
		c.network.Lose(key, 1)
		c.until(func() bool { return c.network.Losses() > n })
		c.drained("count-"+counted.Name, journal.Name)
	}
	i.one()
	c.sound(i)
}

// Whatever a broker answers, the instance goes on by itself and is exact. What
// the broker only asks to be asked again does not cost the membership.
func TestBrokerErrors(t *testing.T) {
	type fault struct {
		err   *kerr.Error
		times int
		kept  bool // the membership
	}
	for key, faults := range map[kmsg.Key][]fault{
		kmsg.EndTxn: {
			{kerr.ConcurrentTransactions, 20, true},
			{kerr.CoordinatorLoadInProgress, 2, true},
			{kerr.CoordinatorNotAvailable, 2, true},
			{kerr.NotCoordinator, 2, true},
			{kerr.InvalidProducerEpoch, 1, false},
			{kerr.ProducerFenced, 1, false},
			{kerr.InvalidTxnState, 1, false},
		},
		kmsg.AddPartitionsToTxn: {
			{kerr.ConcurrentTransactions, 20, true},
			{kerr.NotCoordinator, 2, true},
			{kerr.InvalidProducerEpoch, 1, false},
			{kerr.UnknownTopicOrPartition, 1, false},
		},
		kmsg.AddOffsetsToTxn: {
			{kerr.ConcurrentTransactions, 20, true},
			{kerr.CoordinatorLoadInProgress, 2, true},
			{kerr.InvalidProducerEpoch, 1, false},
		},
		kmsg.TxnOffsetCommit: {
			{kerr.CoordinatorLoadInProgress, 2, true},
			{kerr.NotCoordinator, 2, true},
			{kerr.IllegalGeneration, 1, false},
			{kerr.UnknownMemberID, 1, false},
			{kerr.InvalidProducerEpoch, 1, false},
		},
		kmsg.Produce: {
			{kerr.NotLeaderForPartition, 1, false},
			{kerr.NotEnoughReplicasAfterAppend, 1, false},
			{kerr.RequestTimedOut, 1, false},
			{kerr.OutOfOrderSequenceNumber, 1, false},
		},
		kmsg.Heartbeat: {
			{kerr.RebalanceInProgress, 1, true},
			{kerr.NotCoordinator, 1, false},
			{kerr.IllegalGeneration, 1, false},
			{kerr.UnknownMemberID, 1, false},
		},
		kmsg.Fetch: {
			{kerr.NotLeaderForPartition, 2, true},
			{kerr.KafkaStorageError, 1, false},
		},
	} {
		t.Run(key.Name(), func(t *testing.T) {
			c, i := counting(t, 1)
			for _, f := range faults {
				c.drained("count-"+counted.Name, journal.Name)
				sessions := i.Status().Counts.Sessions
				c.fail(key, f.err, f.times)
				c.drained("count-"+counted.Name, journal.Name)
				if n := i.Status().Counts.Sessions; f.kept && n != sessions {
					t.Errorf("%v: the membership was lost", f.err)
				}
			}
			c.sound(i)
		})
	}
}

// fail has a kind of request fail some times, while records come in. Produce
// fails for the outputs, which no test writes.
func (c *cluster) fail(key kmsg.Key, err *kerr.Error, times int) {
	c.t.Helper()
	f := kfake.Fault{Keys: []kmsg.Key{key}, Err: err, Count: times}
	if key == kmsg.Produce {
		f.Topic = counts.Name
	}
	h := c.Fault(f)
	c.until(func() bool { return h.Hits() >= times })
}

// What fails at the start of a session is tried again.
func TestJoinErrors(t *testing.T) {
	for key, err := range map[kmsg.Key]*kerr.Error{
		kmsg.InitProducerID: kerr.CoordinatorLoadInProgress,
		kmsg.JoinGroup:      kerr.CoordinatorNotAvailable,
		kmsg.OffsetFetch:    kerr.NotCoordinator,
		kmsg.ListOffsets:    kerr.NotLeaderForPartition,
	} {
		t.Run(key.Name(), func(t *testing.T) {
			c, i := counting(t, 1)
			h := c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: err, Count: 2})
			c.fail(kmsg.AddOffsetsToTxn, kerr.InvalidProducerEpoch, 1)
			c.drained("count-"+counted.Name, journal.Name)
			if h.Hits() == 0 {
				t.Errorf("%v was not asked", key.Name())
			}
			h.Remove()
			c.sound(i)
		})
	}
}

// Kafka goes away for longer than the session lasts, and comes back.
func TestKafkaUnreachable(t *testing.T) {
	c, i := counting(t, 1)
	c.network.Cut()
	began := time.Now()
	eventually(t, func() error {
		if i.Status().Waiting == nil {
			return errors.New("the instance says that all is well")
		}
		return nil
	})
	t.Logf("noticed after %v", time.Since(began))
	eventually(t, func() error {
		if info := c.GroupInfo("count-" + counted.Name); len(info.Members) > 0 {
			return errors.New("the group still has its member")
		}
		return nil
	})
	c.network.Mend()
	began = time.Now()
	c.produce(journal.Name, greetings(100, 20)...)
	c.drained("count-"+counted.Name, journal.Name)
	t.Logf("went on after %v", time.Since(began))
	c.sound(i)
	if waiting := i.Status().Waiting; waiting != nil {
		t.Errorf("still says %v", waiting)
	}
}
