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
	"github.com/twmb/franz-go/pkg/kgo"
)

// On three real brokers transactions go on while leaders are elected, and while a
// broker stands still or is killed: they are held up for as long as Kafka itself needs,
// none of them fails, and each partition has its records once and in order. What Kafka
// needs is seen by a plain producer beside them, which waits for all replicas, too.
func TestIntegrationCluster(t *testing.T) {
	brokers, script := strings.Split(os.Getenv("TIDEMARK_BROKERS"), ","), os.Getenv("TIDEMARK_CLUSTER_SCRIPT")
	if len(brokers) < 3 || script == "" {
		t.Skip("TIDEMARK_BROKERS and TIDEMARK_CLUSTER_SCRIPT do not name three real brokers and what kills them")
	}
	for name, c := range map[string]struct {
		disturb []string // arguments of the script
		mend    []string
		more    time.Duration // that a transaction may take than a plain record
	}{
		"elections": {more: 500 * time.Millisecond},
		"frozen":    {[]string{"freeze", "3"}, []string{"thaw", "3"}, 3 * time.Second},
		"killed":    {[]string{"kill", "3"}, []string{"start"}, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWriting(t, brokers)
			w.during(2 * time.Second)
			w.most = 0 // the first transaction finds out who leads
			plain := w.plainly()
			if c.disturb == nil {
				w.during(10*time.Second, w.elect)
			} else {
				w.must(exec.Command(script, c.disturb...).Run())
				defer func() { w.must(exec.Command(script, c.mend...).Run()) }()
				w.during(20 * time.Second)
			}
			most := plain()
			t.Logf("%d transactions, %v at most; a plain record %v", w.rounds, w.most, most)
			if w.most > most+c.more {
				t.Errorf("a transaction took %v, a plain record %v", w.most, most)
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

const (
	writtenPartitions = 6
	plainSuffix       = "-plain"
)

// plainly writes records to all partitions of another topic, until the function that
// it returns is called: that tells what it took to write one of each at most.
func (w *writing) plainly() (stop func() time.Duration) {
	client, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan time.Duration)
	go func() {
		most := time.Duration(0)
		for ctx.Err() == nil {
			var records []*kgo.Record
			for n := range int32(writtenPartitions) {
				records = append(records, &kgo.Record{Topic: w.name + plainSuffix, Partition: n, Value: []byte("v")})
			}
			began := time.Now()
			client.ProduceSync(context.Background(), records...)
			most = max(most, time.Since(began))
		}
		client.Close()
		done <- most
	}()
	return func() time.Duration {
		cancel()
		return <-done
	}
}

func newWriting(t *testing.T, brokers []string) *writing {
	t.Helper()
	w := &writing{kafka: &kafka{t: t, brokers: brokers}, name: fmt.Sprintf("test-%d", time.Now().UnixNano())}
	w.client = w.newClient()
	var err error
	w.admin, err = sarama.NewClusterAdminFromClient(w.client)
	w.must(err)
	for _, name := range []string{w.name, w.name + plainSuffix} {
		w.must(w.admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: writtenPartitions, ReplicationFactor: 3}, false))
		t.Cleanup(func() { _ = w.admin.DeleteTopic(name) })
	}
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
			w.p.Publish(w.name, n, []byte("k"), fmt.Append(nil, w.rounds), nil, start.UnixMilli()) // what is old is deleted soon
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
	topics, err := w.admin.DescribeTopics([]string{w.name, w.name + plainSuffix})
	if err != nil {
		return
	}
	elect := map[string][]int32{}
	for _, topic := range topics {
		replicas := make([][]int32, writtenPartitions)
		for _, p := range topic.Partitions {
			replicas[p.ID] = append(append([]int32{}, p.Replicas[1:]...), p.Replicas[0])
			elect[topic.Name] = append(elect[topic.Name], p.ID)
		}
		_ = w.admin.AlterPartitionReassignments(topic.Name, replicas)
	}
	_, _ = w.admin.ElectLeaders(sarama.PreferredElection, elect)
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
