package kafka

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// On three real brokers transactions go on while leaders are elected, and while a
// broker stands still or is killed: they are held up for as long as Kafka itself needs
// to find other leaders, none of them fails, and each partition has its records once
// and in order.
func TestIntegrationCluster(t *testing.T) {
	brokers, script := strings.Split(os.Getenv("TIDEMARK_BROKERS"), ","), os.Getenv("TIDEMARK_CLUSTER_SCRIPT")
	if len(brokers) < 3 || script == "" {
		t.Skip("TIDEMARK_BROKERS and TIDEMARK_CLUSTER_SCRIPT do not name three real brokers and what kills them")
	}
	const failover = 9*time.Second + 4*time.Second // broker.session.timeout.ms, and what it takes to notice
	for name, c := range map[string]struct {
		disturb []string // arguments of the script
		mend    []string
		most    time.Duration // of a transaction
	}{
		"elections": {most: 500 * time.Millisecond},
		"frozen":    {[]string{"freeze", "3"}, []string{"thaw", "3"}, failover},
		"killed":    {[]string{"kill", "3"}, []string{"start"}, failover},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWriting(t, brokers)
			w.during(2 * time.Second)
			if c.disturb == nil {
				w.most = 0 // the first transaction finds out who leads
				w.during(10*time.Second, w.elect)
			} else {
				w.must(exec.Command(script, c.disturb...).Run())
				defer func() { w.must(exec.Command(script, c.mend...).Run()) }()
				w.during(20 * time.Second)
			}
			t.Logf("%d transactions, %v at most", w.rounds, w.most)
			if w.most > c.most {
				t.Errorf("a transaction took %v, want %v at most", w.most, c.most)
			}
			w.read()
		})
	}
}

// A writing is a producer that writes transaction after transaction.
type writing struct {
	*kafka
	name   string
	admin  sarama.ClusterAdmin
	p      *Producer
	rounds int
	most   time.Duration // a transaction has taken
}

const writtenPartitions = 6

func newWriting(t *testing.T, brokers []string) *writing {
	t.Helper()
	w := &writing{kafka: &kafka{t: t, brokers: brokers}, name: fmt.Sprintf("test-%d", time.Now().UnixNano())}
	w.client = w.newClient()
	var err error
	w.admin, err = sarama.NewClusterAdminFromClient(w.client)
	w.must(err)
	w.must(w.admin.CreateTopic(w.name, &sarama.TopicDetail{NumPartitions: writtenPartitions, ReplicationFactor: 3}, false))
	t.Cleanup(func() { _ = w.admin.DeleteTopic(w.name) })
	w.p, err = NewProducer(context.Background(), Config{Brokers: brokers, Name: "test"}, w.name, w.name, time.Minute)
	w.must(err)
	t.Cleanup(w.p.Close)
	return w
}

// during writes for a while, and calls what is to happen meanwhile every second.
func (w *writing) during(d time.Duration, meanwhile ...func()) {
	w.t.Helper()
	next := time.Now().Add(time.Second)
	for began := time.Now(); time.Since(began) < d; {
		start := time.Now()
		for n := range int32(writtenPartitions) {
			w.p.Publish(w.name, n, []byte("k"), fmt.Append(nil, w.rounds), nil, 1000)
		}
		w.p.Push()
		w.must(w.p.AddOffsets(Offsets{w.name: {{Partition: 0, Offset: int64(w.rounds), LeaderEpoch: -1}}}, &sarama.ConsumerGroupMetadata{GroupID: w.name, GenerationID: -1}))
		w.must(w.p.Commit())
		w.rounds++
		w.most = max(w.most, time.Since(start))
		if time.Now().After(next) {
			next = time.Now().Add(time.Second)
			for _, f := range meanwhile {
				go f()
			}
		}
	}
}

// elect makes the next replica of each partition its preferred leader, and elects it.
func (w *writing) elect() {
	topics, err := w.admin.DescribeTopics([]string{w.name})
	if err != nil || len(topics) != 1 {
		return
	}
	replicas, all := make([][]int32, writtenPartitions), []int32{}
	for _, p := range topics[0].Partitions {
		replicas[p.ID] = append(append([]int32{}, p.Replicas[1:]...), p.Replicas[0])
		all = append(all, p.ID)
	}
	if err := w.admin.AlterPartitionReassignments(w.name, replicas); err == nil {
		_, _ = w.admin.ElectLeaders(sarama.PreferredElection, map[string][]int32{w.name: all})
	}
}

// read sees that each partition has one record of each transaction, in order.
func (w *writing) read() {
	w.t.Helper()
	for n := range int32(writtenPartitions) {
		log, next := Log{w.client, w.name, n}, 0
		for from, deadline := int64(0), time.Now().Add(20*time.Second); next < w.rounds; {
			at, _, err := log.Read(from, time.Second, func(r *sarama.Record, offset int64, _ time.Time) error {
				if string(r.Value) != fmt.Sprint(next) {
					w.t.Fatalf("partition %d: got %s at %d, want %d", n, r.Value, offset, next)
				}
				next++
				return nil
			})
			if err == nil {
				from = at
			}
			if time.Now().After(deadline) {
				w.t.Fatalf("partition %d: read %d of %d: %v", n, next, w.rounds, err)
			}
		}
	}
}
