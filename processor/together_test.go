package processor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/tidemark-dev/tidemark/internal/proof/referee"
)

// Two instances die together, and start together: their partitions come back
// exchanged, so that each finds the other's mark. Neither fences the other, who is
// alive again.
func TestMarksExchanged(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 4, nil)
	c.create(counts.Name, 2, nil)
	c.produce(journal.Name, greetings(300, 40)...)
	one, two := c.start(c.count(), nil), c.start(c.count(), nil)
	c.shared(one, two)
	c.drained("count-"+counted.Name, journal.Name)
	group := "count-" + counted.Name
	for _, pattern := range []string{"1212", "1122", "1221", "2121"} {
		marks := map[byte]string{}
		for _, task := range one.Status().Tasks {
			marks['1'] = c.ownerMark(group, task.Partition)
		}
		for _, task := range two.Status().Tasks {
			marks['2'] = c.ownerMark(group, task.Partition)
		}
		for _, i := range []*instance{one, two} {
			if err := i.stop(); err != nil {
				t.Fatal(err)
			}
		}
		for p := range int32(4) { // as they would stand there after kill -9
			c.setOwnerMark(group, p, marks[pattern[p]])
		}
		c.joinTogether(2)
		one, two = c.start(c.count(), keep(one.dir)), c.start(c.count(), keep(two.dir))
		c.shared(one, two)
		c.counted(one, two)
		for _, i := range []*instance{one, two} {
			if n := i.Status().Counts.Sessions; n != 1 {
				t.Errorf("marks %s: an instance has joined %d times", pattern, n)
			}
		}
	}
}

// joinTogether has the next n members join in one generation.
func (c *cluster) joinTogether(n int32) {
	var joining atomic.Int32
	c.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		if joining.Add(1) < n {
			c.KeepControl()
		}
		return nil, nil, false
	})
	c.ControlKey(int16(kmsg.SyncGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if joining.Load() >= n {
			return nil, nil, false
		}
		c.KeepControl()
		resp := kmsg.NewPtrSyncGroupResponse()
		resp.Version, resp.ErrorCode = r.GetVersion(), kerr.RebalanceInProgress.Code
		return resp, nil, true
	})
}

// ownerMark is the owner's mark beside a partition's committed offset.
func (c *cluster) ownerMark(group string, partition int32) string {
	for part := range strings.FieldsSeq(c.GroupInfo(group).Commits[journal.Name][partition].Metadata) {
		if strings.HasPrefix(part, "tidemark-owner:") {
			return part
		}
	}
	c.t.Fatalf("partition %d has no mark", partition)
	return ""
}

func (c *cluster) setOwnerMark(group string, partition int32, mark string) {
	c.t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	topic, p := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	topic.Topic, p.Partition, p.Metadata = journal.Name, partition, &mark
	is := c.GroupInfo(group).Commits[journal.Name][partition]
	mark += " " + is.Metadata // the clocks and what else stands there
	p.Offset = is.Offset
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(context.Background(), c.newClient(kgo.MaxVersions(kversion.V3_0_0()))) // later ones want topic ids
	if err != nil || resp.Topics[0].Partitions[0].ErrorCode != 0 {
		c.t.Fatal(err, resp)
	}
}

// The same on a real Kafka, with processes that are killed under input: its
// group.initial.rebalance.delay.ms decides whether they join in one generation.
func TestIntegrationKilledTogether(t *testing.T) {
	x := newFeed(t, realServers(t))
	w := workerSpec{Brokers: x.brokers, Redis: strings.TrimPrefix(x.redis, "redis://"), Prefix: x.prefix, Session: 6 * time.Second}
	dirs := []string{t.TempDir(), t.TempDir()}
	for round := range seeds(t, 2) {
		var workers []*worker
		began := time.Now()
		for _, dir := range dirs {
			w.Dir = dir
			workers = append(workers, spawn(t, w))
		}
		for range 2 { // they work, and go on working
			now := x.sent.Load()
			eventually(t, func() error {
				if at, members := x.committed(), x.members(); at < now+2000 || members != 2 {
					return fmt.Errorf("%d members have committed %d of %d", members, at, now+2000)
				}
				return nil
			})
		}
		for i, k := range workers {
			if n := strings.Count(k.log.String(), "msg=waiting"); n > 0 {
				t.Errorf("round %d: instance %d has lost its session %d times", round, i, n)
			}
			k.signal(syscall.SIGKILL)
			k.killed()
		}
		t.Logf("round %d: worked after %v", round, time.Since(began))
		eventually(t, func() error {
			if n := x.members(); n != 0 {
				return fmt.Errorf("%d members are still in the group", n)
			}
			return nil
		})
	}
}

// A feed is a journal on real servers to which records come all the time.
type feed struct {
	servers
	t      *testing.T
	client *kgo.Client
	sent   atomic.Int64
}

func newFeed(t *testing.T, at servers) *feed {
	t.Helper()
	x := &feed{servers: at, t: t}
	c, err := referee.Open(at.brokers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(c.Drop(at.prefix), c.Close()) })
	for _, topic := range []string{journal.Name, counts.Name} {
		if err := c.Create(at.prefix+topic, 4); err != nil {
			t.Fatal(err)
		}
	}
	if x.client, err = kgo.NewClient(kgo.SeedBrokers(at.brokers...), kgo.MaxVersions(kversion.V3_0_0())); err != nil {
		t.Fatal(err)
	}
	feeding, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for n, tick := 0, time.Tick(10*time.Millisecond); feeding.Err() == nil; <-tick {
			for range 20 {
				r := greeting(n%40, n)
				n++
				x.client.Produce(feeding, &kgo.Record{Topic: at.prefix + journal.Name, Key: r.Key, Value: r.Value}, func(_ *kgo.Record, err error) {
					if err == nil {
						x.sent.Add(1)
					}
				})
			}
		}
	})
	t.Cleanup(func() { stop(); running.Wait(); x.client.Close() })
	return x
}

func (x *feed) group() string { return x.prefix + "count-" + x.prefix + counted.Name }

// committed is how many records the group has committed, -1 if nobody says.
func (x *feed) committed() (n int64) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.Topics = x.group(), []kmsg.OffsetFetchRequestTopic{{Topic: x.prefix + journal.Name, Partitions: []int32{0, 1, 2, 3}}}
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = req.Group
	group.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: x.prefix + journal.Name, Partitions: []int32{0, 1, 2, 3}}}
	req.Groups = append(req.Groups, group)
	resp, err := req.RequestWith(context.Background(), x.client)
	if err != nil {
		return -1 // the coordinator is on its way
	}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				n += max(0, p.Offset)
			}
		}
	}
	return n
}

// members is how many the group has, -1 if nobody says.
func (x *feed) members() (n int) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{x.group()}
	resp, err := req.RequestWith(context.Background(), x.client)
	if err != nil {
		return -1
	}
	return len(resp.Groups[0].Members)
}
