package processor_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// A grant is one that docs/cluster.md grants to the user of application "hello".
type grant struct {
	acl    kfake.ACL
	needed bool
}

func (r grant) String() string {
	return fmt.Sprintf("%v %v of %s", r.acl.Operation, r.acl.Resource, r.acl.Name)
}

func wordsTopic(name string) topology.Topic[string, string] {
	return topology.Topic[string, string]{Name: name, Key: codec.String{}, Value: codec.String{}}
}

// permitted is a topology that has one topic for each row of the table.
func permitted(t testing.TB) *topology.Topology {
	b := topology.NewBuilder("hello")
	words := topology.Consume(b, wordsTopic("words"))
	global := topology.Broadcast(b, wordsTopic("everywhere"), topology.Store[string, string]{Name: "all"})
	topology.Publish(topology.JoinGlobal(words, global,
		func(_, word string) (string, bool) { return word, true },
		topology.Left(func(_, word string, _ *string) string { return word })), wordsTopic("out"))
	swapped := topology.Map(words, func(key, word string) (string, string) { return word, key })
	topology.Count(topology.Repartition(swapped, wordsTopic("through")), topology.Store[string, int64]{Name: "counts"})
	return build(t, b)
}

var permittedNames = map[string]string{
	"every input": "words", "every topic of a global table": "everywhere", "every output": "out", "every repartition topic": "through",
}

// grants reads the table.
func grants(t *testing.T) (all []grant) {
	t.Helper()
	text, err := os.ReadFile("../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| resource | name | needs | better with |\n| --- | --- | --- | --- |\n")
	if !ok {
		t.Fatal("there is no such table in docs/cluster.md")
	}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 {
			break
		}
		acl := kfake.ACL{Allow: true, Pattern: kmsg.ACLResourcePatternTypeLiteral}
		name, prefixed := strings.CutSuffix(strings.TrimSpace(cells[2]), ", prefixed")
		if acl.Name = permittedNames[name]; prefixed {
			acl.Name, acl.Pattern = strings.Trim(name, "`"), kmsg.ACLResourcePatternTypePrefixed
		}
		if acl.Resource, err = kmsg.ParseACLResourceType(strings.TrimSpace(cells[1])); err != nil || acl.Name == "" {
			t.Fatalf("%s: %q, %v", line, acl.Name, err)
		}
		for i, cell := range cells[3:5] {
			for _, op := range strings.FieldsFunc(cell, func(r rune) bool { return r == ',' || r == ' ' }) {
				if acl.Operation, err = kmsg.ParseACLOperation(op); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				all = append(all, grant{acl, i == 0})
			}
		}
	}
	return all
}

// The rights that docs/cluster.md names are enough, and each of those that are
// needed is.
func TestPermissions(t *testing.T) {
	t.Parallel()
	all := grants(t)
	t.Run("all", func(t *testing.T) {
		t.Parallel()
		if err := works(t, all); err != nil {
			t.Error(err)
		}
	})
	for i, r := range all {
		t.Run("without "+r.String(), func(t *testing.T) {
			t.Parallel()
			err := works(t, slices.Delete(slices.Clone(all), i, i+1))
			switch {
			case !r.needed && err != nil:
				t.Errorf("it ended with %v", err)
			case r.needed && err == nil:
				t.Error("it works")
			case r.needed && !strings.Contains(err.Error(), `see "Permissions" in docs/cluster.md`) && !strings.Contains(err.Error(), "may this user create topics?"):
				t.Errorf("it ended with %v, which does not say what to grant", err)
			}
		})
	}
}

// works runs the topology with some rights, on one disk and then on another, and
// returns what it ended with.
func works(t *testing.T, granted []grant) error {
	t.Helper()
	var acls []kfake.ACL
	for _, r := range granted {
		acls = append(acls, r.acl)
	}
	c := newCluster(t, 1, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "root"), kfake.User("PLAIN", "hello", "hello", acls...))
	c.client = c.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.SASL(plain.Auth{User: "root", Pass: "root"}.AsMechanism()))
	for _, topic := range []string{"words", "everywhere", "out"} {
		c.create(topic, 1, nil)
	}
	end := func(topic string) int64 {
		if infos := c.PartitionInfos(topic); len(infos) > 0 {
			return infos[0].HighWatermark
		}
		return 0
	}
	for range 2 {
		i := c.start(permitted(t), func(cfg *processor.Config) {
			cfg.Kafka = sarama.NewConfig()
			cfg.Kafka.Net.SASL.Enable, cfg.Kafka.Net.SASL.User, cfg.Kafka.Net.SASL.Password = true, "hello", "hello"
			cfg.Policies.Decode = topology.DeadLetter
			cfg.StartTimeout = 5 * time.Second
		})
		out, counts := end("out"), end("hello-counts-table")
		c.produce("words", topology.Raw{Key: []byte("a"), Value: []byte("word")})
		eventually(t, func() error {
			select {
			case <-i.ended:
				return nil
			default:
			}
			if end("out") == out || end("hello-counts-table") == counts || i.Status().State != processor.Running {
				return errors.New("nothing was written")
			}
			return nil
		})
		select {
		case <-i.ended:
			return i.err
		default:
		}
		_ = i.Purge() // without a right to it: the log says it
		if err := i.stop(); err != nil {
			return err
		}
	}
	return nil
}
