package processor_test

import (
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// minimal builds the smallest topology: nothing about it matters.
func minimal(t *testing.T) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder("minimal")
	topology.Materialize(b,
		topology.Topic[string, string]{Name: "minimal-log", Key: codec.String{}, Value: codec.String{}},
		topology.Store[string, string]{Name: "minimal-store"})
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func TestConfigErrorsComeTogether(t *testing.T) {
	kafka := sarama.NewConfig()
	kafka.Net.MaxOpenRequests = 0
	_, err := processor.New(minimal(t), processor.Config{
		Brokers:        []string{"localhost", "kafka:9092"},
		Guarantee:      7,
		CommitInterval: 6 * time.Second,
		SessionTimeout: 2 * time.Second,
		StartTimeout:   -time.Second,
		DrainTimeout:   -time.Minute,
		Advertise:      ":9610",
		Replication:    -1,
		Policies:       topology.Policies{Decode: 9, Process: -1},
		Kafka:          kafka,
		Topics:         map[string]map[string]string{"": {"cleanup.policy": "delete"}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		`Advertise: ":9610" is not host:port`,
		`Brokers: "localhost" is not host:port`,
		`CommitInterval: 6s is more than 5s, half of the 10s after which brokers abort a transaction`,
		`DrainTimeout: -1m0s is negative`,
		`Guarantee: 7 is not a guarantee`,
		`Kafka: kafka: invalid configuration (Net.MaxOpenRequests must be > 0)`,
		`Policies.Decode: 9 is not a policy`,
		`Policies.Process: -1 is not a policy`,
		`Replication: -1 is negative`,
		`SessionTimeout: 2s is less than ten heartbeats of 300ms`,
		`StartTimeout: -1s is negative`,
		`StateDir: required`,
		`Topics[""]: cleanup.policy cannot be set: tables rely on it`,
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestConfigNeedsNoMore(t *testing.T) {
	p, err := processor.New(minimal(t), processor.Config{Brokers: []string{"kafka:9092", "[::1]:9092"}, StateDir: "unused"})
	if err != nil {
		t.Fatal(err)
	}
	want := processor.Status{Application: "minimal", Tasks: []processor.TaskStatus{}}
	if diff := cmp.Diff(want, p.Status()); diff != "" {
		t.Errorf("status before Run (-want +got):\n%s", diff)
	}
}

func TestConfigIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*processor.Config)
		want   string
	}{
		"no broker":                 {func(c *processor.Config) { c.Brokers = nil }, "Brokers: at least one address is required"},
		"commits that never come":   {func(c *processor.Config) { c.CommitInterval = -time.Second }, "CommitInterval: -1s is negative"},
		"a session without an end":  {func(c *processor.Config) { c.SessionTimeout = -time.Second }, "SessionTimeout: -1s is negative"},
		"an address without a port": {func(c *processor.Config) { c.Advertise = "instance-1" }, `Advertise: "instance-1" is not host:port`},
	} {
		t.Run(name, func(t *testing.T) {
			c := processor.Config{Brokers: []string{"kafka:9092"}, StateDir: "unused"}
			test.change(&c)
			if _, err := processor.New(minimal(t), c); err == nil || err.Error() != test.want {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
	if _, err := processor.New(nil, processor.Config{}); err == nil || err.Error() != "no topology" {
		t.Errorf("without a topology: %v", err)
	}
}
