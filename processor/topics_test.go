package processor_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// regrouped counts greetings by their state, through a topic.
func regrouped(t testing.TB, through topology.Topic[string, hello]) *topology.Topology {
	b := topology.NewBuilder("regroup")
	byState := topology.SelectKey(topology.Consume(b, journal), func(_ string, h hello) string { return h.State })
	topology.Count(topology.Repartition(byState, through), counted)
	return build(t, b)
}

var states = topology.Topic[string, hello]{Name: "states", Key: codec.String{}}

func TestStartCreatesTopics(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 3, nil)
	c.start(regrouped(t, states), nil)
	for name, want := range map[string]map[string]string{
		states.Name: {
			"cleanup.policy": "delete", "retention.ms": "-1", "segment.bytes": "52428800", "message.timestamp.type": "CreateTime",
		},
		"regroup-" + counted.Name + "-table": {"cleanup.policy": "compact", "message.timestamp.type": "CreateTime"},
	} {
		eventually(t, func() error {
			info := c.TopicInfo(name)
			if info == nil {
				return fmt.Errorf("there is no topic %s", name)
			}
			if n := len(c.PartitionInfos(name)); n != 3 {
				return fmt.Errorf("topic %s has %d partitions", name, n)
			}
			got := map[string]string{}
			for k, v := range info.Configs {
				got[k] = *v
			}
			if diff := cmp.Diff(want, got); diff != "" {
				return fmt.Errorf("topic %s (-want +got):\n%s", name, diff)
			}
			return nil
		})
	}
}

// What is wrong with topics comes out at once, and nothing is created.
func TestStartNamesAllWrongTopics(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 3, nil)
	c.create(states.Name, 2, nil)
	b := topology.NewBuilder("wrong")
	byState := topology.SelectKey(topology.Consume(b, journal), func(_ string, h hello) string { return h.State })
	wanting := states
	wanting.Partitions = 4
	topology.Count(topology.Merge(topology.Repartition(byState, wanting), topology.Consume(b, journal)), counted)
	topology.Publish(byState, topology.Topic[string, hello]{Name: "nowhere"})
	got := strings.Split(c.start(build(t, b), within(time.Second)).failed(), "\n")
	want := []string{
		`output topic "nowhere" does not exist: create it, with as many partitions as instances may share`,
		`repartition topic "states" has 2 partitions, and is to have 4: let it be read to its end, delete it and start again, or set Partitions: 2 on the topic`,
		`group wrong-hello-count-store: its inputs must have as many partitions as each other, for what belongs together to meet: "hello-log-store" has 3, "states" has 4: change Partitions of "states"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	if c.TopicInfo("wrong-"+counted.Name+"-table") != nil {
		t.Error("a changelog was created for a group that cannot run")
	}
}

func TestStartRefusesRepartitionTopic(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 3, nil)
	c.create(states.Name, 3, map[string]string{"cleanup.policy": "compact"})
	want := `repartition topic "states" has cleanup.policy=compact and would lose records: set it to delete`
	if got := c.start(regrouped(t, states), nil).failed(); got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

// A program sets what Kafka Streams' programs set with topic. and for a store.
func TestTopicSettings(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 3, nil)
	table := "regroup-" + counted.Name + "-table"
	c.start(regrouped(t, states), func(cfg *processor.Config) {
		cfg.Topics = map[string]map[string]string{
			"":    {"compression.type": "zstd", "segment.bytes": "1048576"},
			table: {"segment.bytes": "2097152", "max.message.bytes": "4194304"},
		}
	})
	for name, want := range map[string]map[string]string{
		states.Name: {"compression.type": "zstd", "segment.bytes": "1048576", "retention.ms": "-1"},
		table:       {"compression.type": "zstd", "segment.bytes": "2097152", "max.message.bytes": "4194304"},
	} {
		eventually(t, func() error {
			info := c.TopicInfo(name)
			if info == nil {
				return fmt.Errorf("there is no topic %s", name)
			}
			for k, v := range want {
				if got := info.Configs[k]; got == nil || *got != v {
					return fmt.Errorf("topic %s: %s is not %s", name, k, v)
				}
			}
			return nil
		})
	}
	got := c.start(regrouped(t, states), func(cfg *processor.Config) {
		cfg.Topics = map[string]map[string]string{journal.Name: {"compression.type": "zstd"}}
	}).failed()
	want := `Topics["hello-log-store"]: tidemark creates no such topic: it creates ["regroup-dead-letters" "states" "regroup-hello-count-store-table"]`
	if got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

// Two applications that choose one name for a repartition topic would read each
// other's records, and delete them from under each other.
func TestRepartitionTopicOfAnother(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 3, nil)
	c.produce(journal.Name, moody(60, 20)...)
	first := c.start(regrouped(t, states), nil)
	c.drained("regroup-"+journal.Name, journal.Name)
	b := topology.NewBuilder("other")
	byState := topology.SelectKey(topology.Consume(b, journal), func(_ string, h hello) string { return h.State })
	topology.Count(topology.Repartition(byState, states), counted)
	want := `repartition topic "states" has had records already, and no group of application "other" has ever committed an offset: ` +
		`does another application use the topic? Give it another name. If it is left from before this application was reset, delete it`
	if got := c.start(build(t, b), nil).failed(); got != want {
		t.Errorf("error %q, want %q", got, want)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	again := c.start(regrouped(t, states), keep(first.dir)) // its own is no stranger
	again.await(processor.Running)
}

// Names are put together from parts: those of two applications may be the same.
func TestGroupOfAnother(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.create(journal.Name, 3, nil)
	named := func(application, store string) *topology.Topology {
		b := topology.NewBuilder(application)
		topology.Count(topology.Consume(b, journal), topology.Store[string, int64]{Name: store})
		return build(t, b)
	}
	first := c.start(named("a", "b-c"), nil)
	first.await(processor.Running)
	got := c.start(named("a-b", "c"), nil).failed()
	want := `is of application "a", and this instance of "a-b": they would share the group and its tables: rename a store of one of them`
	if !strings.Contains(got, want) {
		t.Errorf("error %q, want %q in it", got, want)
	}
}
