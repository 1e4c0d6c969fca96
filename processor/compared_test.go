package processor_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// ends waits until an instance ends by itself, and returns its error.
func (i *instance) ends() string {
	i.t.Helper()
	select {
	case <-i.ended:
	case <-time.After(patience):
		i.t.Fatalf("the instance goes on: %v", i.Status())
	}
	if i.err == nil {
		i.t.Fatal("the instance ended without an error")
	}
	return i.err.Error()
}

// Records that were deleted before they were processed end the instance, which says
// how to go on; and so it does.
func TestInputOutOfRange(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 1, nil)
	c.produce(journal.Name, greetings(100, 10)...)
	i := c.start(c.hello(), nil)
	c.materialized(i)
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	c.produce(journal.Name, greetings(100, 20)...)
	if err := c.DeleteRecords(journal.Name, 0, 150); err != nil {
		t.Fatal(err)
	}
	i = c.start(c.hello(), keep(i.dir))
	err := i.ends()
	for _, want := range []string{
		`partition 0 of "hello-log-store"`,
		"kafka-consumer-groups.sh --bootstrap-server " + c.ListenAddrs()[0] + " --group hello-hello-state-store --topic hello-log-store:0 --reset-offsets --to-earliest --execute",
	} {
		if !strings.Contains(err, want) {
			t.Errorf("it ended with %q, want %q in it", err, want)
		}
	}
	c.setOffset(journal.Name, 0, 150, "")
	i = c.start(c.hello(), keep(i.dir))
	i.await(processor.Running)
	c.drained("hello-"+hellos.Name, journal.Name)
	c.hold(hellosLog, hellos.Name, lastValues(c.read(hellosLog)), i)
}

// setOffset commits an offset of hello's group, as tools do.
func (c *cluster) setOffset(topic string, partition int32, offset int64, metadata string) {
	c.t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = "hello-"+hellos.Name, -1
	of := kmsg.NewOffsetCommitRequestTopic()
	of.Topic, of.TopicID = topic, c.TopicInfo(topic).TopicID
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.Metadata = partition, offset, &metadata
	of.Partitions = append(of.Partitions, p)
	req.Topics = append(req.Topics, of)
	if _, err := req.RequestWith(context.Background(), c.client); err != nil {
		c.t.Fatal(err)
	}
	if got := c.GroupInfo(req.Group).Commits[topic][partition]; got.Offset != offset || got.Metadata != metadata {
		c.t.Fatalf("committed %+v", got)
	}
}

// Rows that mean something else are refused, by whatever they are known: the group's
// offsets, and if those are of an older version the local table.
func TestTableOfAnotherMeaning(t *testing.T) {
	inWindows := func(size time.Duration) *topology.Topology {
		b := topology.NewBuilder("hello")
		topology.Count(topology.Window(topology.Consume(b, journal), topology.Tumbling{Size: size}),
			topology.Store[topology.Windowed[string], int64]{Name: hellos.Name})
		return build(t, b)
	}
	aggregated := func(values codec.Codec[int64]) *topology.Topology {
		b := topology.NewBuilder("hello")
		topology.Count(topology.Consume(b, journal), topology.Store[string, int64]{Name: hellos.Name, Value: values})
		return build(t, b)
	}
	for name, x := range map[string]struct {
		before, after *topology.Topology
		noteless      bool // the offsets say nothing
		diskless      bool // on another machine
		want          string
	}{
		"another size":             {inWindows(time.Minute), inWindows(time.Hour), false, false, `windows tumbling 1h"; to keep them, give the store another name`},
		"another size, elsewhere":  {inWindows(time.Minute), inWindows(time.Hour), false, true, `windows tumbling 1h"; to keep them, give the store another name`},
		"another size, older":      {inWindows(time.Minute), inWindows(time.Hour), true, false, `windows tumbling 1h", those are "count, keys topology.WindowedCodec of codec.String, values codec.Int64, windows tumbling 1m"`},
		"no windows":               {aggregated(codec.Int64{}), inWindows(time.Hour), false, false, "was made otherwise"},
		"another codec":            {aggregated(codec.Int64{}), aggregated(codec.JSON[int64]{}), false, false, "was made otherwise"},
		"the same":                 {inWindows(time.Minute), inWindows(time.Minute), false, false, ""},
		"the same, older and away": {inWindows(time.Minute), inWindows(time.Minute), true, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(journal.Name, 1, nil)
			c.produce(journal.Name, greetings(100, 10)...)
			i := c.start(x.before, nil)
			c.drained("hello-"+hellos.Name, journal.Name)
			if err := i.stop(); err != nil {
				t.Fatal(err)
			}
			if x.noteless {
				c.setOffset(journal.Name, 0, 100, "")
			}
			dir := i.dir
			if x.diskless {
				dir = t.TempDir()
			}
			i = c.start(x.after, keep(dir))
			if x.want == "" {
				i.await(processor.Running)
				return
			}
			if err := i.ends(); !strings.Contains(err, x.want) || !strings.Contains(err, `delete the topics ["hello-hello-state-store-table"] and the group "hello-hello-state-store"`) {
				t.Errorf("it ended with %q, want %q in it", err, x.want)
			}
			i = c.start(x.before, keep(dir)) // nothing was lost by trying
			i.await(processor.Running)
		})
	}
}

// Two versions of a table in one group: the second is refused before it has a
// record, also of a partition that has no rows yet.
func TestTwoMeaningsInOneGroup(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 4, nil)
	counting := func(size time.Duration) *topology.Topology {
		b := topology.NewBuilder("hello")
		topology.Count(topology.Window(topology.Consume(b, journal), topology.Tumbling{Size: size}),
			topology.Store[topology.Windowed[string], int64]{Name: hellos.Name})
		return build(t, b)
	}
	one := c.start(counting(time.Minute), nil)
	one.await(processor.Running)
	if err := c.start(counting(time.Hour), nil).ends(); !strings.Contains(err, "keeps other tables than this instance: they run different versions of the topology") {
		t.Errorf("the second ended with %q", err)
	}
	c.produce(journal.Name, greetings(100, 10)...)
	c.drained("hello-"+hellos.Name, journal.Name)
	if n := one.Status().Counts.Sessions; n != 1 {
		t.Errorf("the first has joined %d times", n)
	}
}

// Partitions that are added to an input of a table end the instance: keys move to
// other partitions, and their rows do not.
func TestInputGrows(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 2, nil)
	c.produce(journal.Name, greetings(100, 10)...)
	i := c.start(c.hello(), func(cfg *processor.Config) {
		cfg.Kafka = sarama.NewConfig()
		cfg.Kafka.Metadata.RefreshFrequency = 100 * time.Millisecond
	})
	c.materialized(i)
	req := kmsg.NewPtrCreatePartitionsRequest()
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = journal.Name, 4
	req.Topics = append(req.Topics, topic)
	if resp, err := req.RequestWith(context.Background(), c.client); err != nil || resp.Topics[0].ErrorCode != 0 {
		t.Fatal(err, resp)
	}
	if err := i.ends(); !strings.Contains(err, `have grown`) || !strings.Contains(err, "start it under another name") {
		t.Errorf("it ended with %q", err)
	}
	if err := c.start(c.hello(), keep(i.dir)).ends(); !strings.Contains(err, `has 2 partitions, but its input "hello-log-store" has 4`) {
		t.Errorf("the next one ended with %q", err)
	}
}
