package processor_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

var texts = topology.Topic[string, string]{Name: "texts", Key: codec.String{}, Value: codec.String{}}

// copies keeps each text in a table, and publishes it.
func copies(t testing.TB) *topology.Topology {
	b := topology.NewBuilder("copies")
	table := topology.Materialize(b, texts, topology.Store[string, string]{Name: "copy"})
	topology.Publish(table, topology.Topic[string, string]{Name: "out"})
	return build(t, b)
}

// everywhere sends each text through all that writes: a table, an output, a
// repartition topic, a window and a join behind it. Their names begin with a prefix.
func everywhere(t testing.TB, prefix string) *topology.Topology {
	texts := texts
	texts.Name = prefix + texts.Name
	b := topology.NewBuilder(prefix + "copies")
	table := topology.Materialize(b, texts, topology.Store[string, string]{Name: "copy"})
	topology.Publish(table, topology.Topic[string, string]{Name: prefix + "out"})
	own := topology.Repartition(topology.Consume(b, texts), topology.Topic[string, string]{Name: prefix + "copies-own"})
	newest := topology.Store[topology.Windowed[string], string]{Name: "newest"}
	topology.Reduce(topology.Window(own, topology.Tumbling{Size: time.Hour}), newest, func(_ topology.Windowed[string], text, _ string) string { return text })
	kept := topology.ToTable(own, topology.Store[string, string]{Name: "kept"})
	topology.Publish(topology.Join(own, kept, topology.Left(func(_, text string, _ *string) string { return text })), topology.Topic[string, string]{Name: prefix + "joined"})
	return build(t, b)
}

func sized(key string, size int) topology.Raw {
	return topology.Raw{Key: []byte(key), Value: bytes.Repeat([]byte("x"), size), Time: time.UnixMilli(1_700_000_000_000)}
}

func writes(p topology.Policy) func(*processor.Config) {
	return policies(topology.Policies{Write: p})
}

// Rows that are large, but taken one by one, are all processed, though together
// they are larger than a batch may be.
func TestLargeRows(t *testing.T) {
	t.Parallel()
	for name, sizes := range map[string][2]int{"60 of 390 KB": {60, 390_000}, "12 of 600 KB": {12, 600_000}, "3 as large as can be": {3, 1048588 - 100}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(texts.Name, 1, nil)
			c.create("out", 1, nil)
			c.client = c.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(1048588), kgo.ProducerBatchCompression(kgo.NoCompression()))
			for i := range sizes[0] {
				c.produce(texts.Name, sized(fmt.Sprint(i), sizes[1]))
			}
			i := c.start(copies(t), nil)
			c.drained("copies-copy", texts.Name)
			if n := len(c.read("copies-copy-table")); n != sizes[0] {
				t.Errorf("%d rows, want %d", n, sizes[0])
			}
			if n := i.Status().Counts.Sessions; n != 1 {
				t.Errorf("%d sessions, want 1", n)
			}
		})
	}
}

// A record whose row does not fit goes where the policy for Write says. The text
// names the record, the key and the setting.
func TestPolicyOfWrite(t *testing.T) {
	t.Parallel()
	const limit = 20_000
	setting := map[string]string{"max.message.bytes": fmt.Sprint(limit)}
	for _, where := range []string{"copies-copy-table", "out"} {
		for _, policy := range []topology.Policy{topology.Fail, topology.Skip, topology.DeadLetter} {
			t.Run(fmt.Sprint(where, policy), func(t *testing.T) {
				t.Parallel()
				c := newCluster(t, 1)
				c.create(texts.Name, 1, nil)
				for _, topic := range []string{"out", "copies-copy-table"} {
					config := map[string]string{}
					if topic == "copies-copy-table" {
						config["cleanup.policy"] = "compact"
					}
					if topic == where {
						config["max.message.bytes"] = setting["max.message.bytes"]
					}
					c.create(topic, 1, config)
				}
				large := sized("large", limit)
				c.produce(texts.Name, sized("a", 10), large, sized("b", limit/2))
				i := c.start(copies(t), writes(policy))
				want := fmt.Sprintf(`record texts/0@1: %s: write to topic "%s": key "large": 20077 bytes are more than the topic's max.message.bytes of 20000`,
					map[bool]string{true: "table copy", false: "topic out"}[where != "out"], where)
				if policy == topology.Fail {
					if got := i.failed(); !strings.Contains(got, want) {
						t.Fatalf("error %q, want %q", got, want)
					}
					return
				}
				c.drained("copies-copy", texts.Name)
				if !i.log.contains(strings.ReplaceAll(want, `"`, `\"`)) {
					t.Errorf("the log does not say %q", want)
				}
				for _, topic := range []string{"copies-copy-table", "out"} {
					if got := lastValues(c.read(topic)); got["large"] != "" || len(got) != 2 {
						t.Errorf("%s has %d records", topic, len(got))
					}
				}
				s := i.Status().Counts
				if diff := cmp.Diff([]int64{3, 1, 1}, []int64{s.Records, s.Skipped + s.DeadLetters, s.Sessions}); diff != "" {
					t.Errorf("records, refused, sessions (-want +got):\n%s", diff)
				}
				if policy == topology.DeadLetter {
					if letters := c.letters("copies-dead-letters"); len(letters) != 1 || !bytes.Equal(letters[0].Value, large.Value) {
						t.Errorf("%d dead letters", len(letters))
					}
				}
			})
		}
	}
}

// What a broker refuses although its topic's settings say otherwise blames the
// record, too: it is processed again, and then its policy decides.
func TestRefusedRecord(t *testing.T) {
	t.Parallel()
	for _, refusal := range []*kerr.Error{kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidTimestamp, kerr.InvalidRecord} {
		for _, topic := range []string{"copies-copy-table", "out"} {
			t.Run(refusal.Message+topic, func(t *testing.T) {
				t.Parallel()
				c := newCluster(t, 3)
				c.apart()
				c.refuse(topic, "poison", refusal)
				c.produce(texts.Name, sized("a", 1), topology.Raw{Key: []byte("p"), Value: []byte("poison")}, sized("b", 1), topology.Raw{Key: []byte("q"), Value: []byte("poison")})
				i := c.start(copies(t), writes(topology.DeadLetter))
				c.drained("copies-copy", texts.Name)
				for _, topic := range []string{"copies-copy-table", "out"} {
					if diff := cmp.Diff(map[string]string{"a": "x", "b": "x"}, lastValues(c.read(topic))); diff != "" {
						t.Errorf("%s (-want +got):\n%s", topic, diff)
					}
				}
				if letters := c.letters("copies-dead-letters"); len(letters) != 2 {
					t.Errorf("%d dead letters, want 2", len(letters))
				}
				if n := i.Status().Counts.Sessions; n > 3 {
					t.Errorf("%d sessions, want one for each refusal and one", n)
				}
			})
		}
	}
	t.Run("policy Fail", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, 3)
		c.apart()
		c.refuse("out", "poison", kerr.InvalidRecord)
		c.produce(texts.Name, sized("a", 1), topology.Raw{Key: []byte("p"), Value: []byte("poison")})
		i := c.start(copies(t), nil)
		if got := i.failed(); !strings.Contains(got, `record texts/0@1: topic out: write to topic "out"`) || !strings.Contains(got, `key "p"`) {
			t.Errorf("error %q", got)
		}
		var e *topology.RecordError
		if !errors.As(i.err, &e) {
			t.Errorf("error %#v", i.err)
		}
	})
}

// apart creates the topics of copies, each led by another broker, so that each
// has requests of its own.
func (c *cluster) apart() {
	c.t.Helper()
	for i, topic := range []string{"copies-copy-table", "out", "copies-dead-letters", texts.Name} {
		c.create(topic, 1, map[string]string{"cleanup.policy": []string{"compact", "delete", "delete", "delete"}[i]})
		if err := c.MoveTopicPartition(topic, 0, int32(i%3)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// refuse has the brokers refuse batches for a topic that hold a text.
func (c *cluster) refuse(topic, text string, refusal *kerr.Error) {
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := r.(*kmsg.ProduceRequest)
		if len(req.Topics) != 1 || req.Topics[0].Topic != topic || !bytes.Contains(req.Topics[0].Partitions[0].Records, []byte(text)) {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		resp.Topics = []kmsg.ProduceResponseTopic{{Topic: topic, Partitions: []kmsg.ProduceResponseTopicPartition{{ErrorCode: refusal.Code}}}}
		return resp, nil, true
	})
}

// Sizes in steps around every bound, through all that writes: each record comes
// through everywhere, or is a dead letter and has come through nowhere.
func TestEverySizeFits(t *testing.T) {
	t.Parallel()
	newCluster(t, 1).everySizeFits()
}

func TestIntegrationEverySizeFits(t *testing.T) { realCluster(t).everySizeFits() }

func (c *cluster) everySizeFits() {
	t, prefix := c.t, c.prefix()
	const limit = 8_000
	for topic, policy := range map[string]string{
		texts.Name: "delete", "out": "delete", "joined": "delete", "copies-own": "delete",
		"copies-copy-table": "compact", "copies-newest-table": "compact", "copies-kept-table": "compact",
	} {
		config := map[string]string{"cleanup.policy": policy, "max.message.bytes": fmt.Sprint(limit), "retention.ms": "-1"}
		if topic == texts.Name {
			config["max.message.bytes"] = fmt.Sprint(2 * limit)
		}
		c.create(prefix+topic, 1, config)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var sent []topology.Raw
	for _, bound := range []int{0, 1, 63, 64, limit / 3, limit / 2, limit - 100, limit, limit + 100} {
		for step := -80; step <= 80; step += 1 + random.IntN(5) {
			if size := bound + step; size >= 0 {
				sent = append(sent, sized(fmt.Sprintf("%04d", len(sent)), size))
			}
		}
	}
	random.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
	c.client = c.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(2*limit), kgo.ProducerBatchCompression(kgo.NoCompression()))
	c.produce(prefix+texts.Name, sent...)
	i := c.start(everywhere(t, prefix), func(cfg *processor.Config) {
		cfg.Policies.Write = topology.DeadLetter
		cfg.SessionTimeout = 10 * time.Second // a real broker takes 6 seconds at least
	})
	for group, topic := range map[string]string{"copy": texts.Name, texts.Name: texts.Name, "kept": "copies-own", "newest": "copies-own"} {
		if group == texts.Name {
			group = prefix + group
		}
		c.drained(prefix+"copies-"+group, prefix+topic)
	}
	letters := map[string]int{}
	for _, r := range c.letters(prefix + "copies-dead-letters") {
		letters[string(r.Key)]++
	}
	rows, out, joined := lastValues(c.read(prefix+"copies-copy-table")), lastValues(c.read(prefix+"out")), lastValues(c.read(prefix+"joined"))
	for _, r := range sent {
		n, isLetter := topology.BatchBytes(r.Key, r.Value, nil), letters[string(r.Key)] > 0
		_, isRow := rows[string(r.Key)]
		_, isOut := out[string(r.Key)]
		_, isJoined := joined[string(r.Key)]
		switch {
		case isRow != isOut:
			t.Errorf("%d bytes: a row %v, an output %v", n, isRow, isOut)
		case !isRow && !isLetter || !isJoined && !isLetter:
			t.Errorf("%d bytes: lost", n)
		case isRow && n > limit || !isRow && n <= limit || !isJoined && n <= limit-100:
			t.Errorf("%d bytes: row %v, joined %v", n, isRow, isJoined)
		}
	}
	if n := i.Status().Counts.Sessions; n != 4 {
		t.Errorf("%d sessions, want one of each group", n)
	}
}

// A foreign producer compresses: what it sends may be larger than any topic takes
// when it is unpacked. The changelog takes as much as the input; beyond that the
// record's policy decides, and the text says what to raise.
func TestCompressedRecord(t *testing.T) {
	t.Parallel()
	for _, policy := range []topology.Policy{topology.Fail, topology.DeadLetter} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(texts.Name, 1, map[string]string{"max.message.bytes": "2000000"})
			c.create("out", 1, map[string]string{"max.message.bytes": "2000000"})
			c.client = c.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(8_000_000), kgo.ProducerBatchCompression(kgo.GzipCompression()))
			c.produce(texts.Name, sized("fits", 1_900_000))
			c.produce(texts.Name, sized("large", 3_000_000))
			i := c.start(copies(t), writes(policy))
			const want = `record texts/0@1: table copy: write to topic "copies-copy-table": key "large": 3000079 bytes are more than the topic's max.message.bytes of 2000000`
			if policy == topology.Fail {
				if got := i.failed(); !strings.Contains(got, want) {
					t.Errorf("error %q, want %q", got, want)
				}
				return
			}
			c.drained("copies-copy", texts.Name)
			if letters := c.letters("copies-dead-letters"); len(letters) != 1 || len(letters[0].Value) != 3_000_000 {
				t.Errorf("%d dead letters", len(letters))
			}
			if rows := lastValues(c.read("copies-copy-table")); len(rows) != 1 || len(rows["fits"]) != 1_900_000 {
				t.Errorf("%d rows", len(rows))
			}
		})
	}
}

// A dead letter fits: the reason is cut before the record is.
func TestDeadLetterFits(t *testing.T) {
	t.Parallel()
	const limit = 20_000
	for _, room := range []int{0, 100, 110, 200, 400} {
		t.Run(fmt.Sprint(room), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.create(texts.Name, 1, map[string]string{"max.message.bytes": fmt.Sprint(2 * limit)})
			c.create("out", 1, nil)
			c.create("copies-copy-table", 1, map[string]string{"cleanup.policy": "compact", "max.message.bytes": fmt.Sprint(limit / 2)})
			c.create("copies-dead-letters", 1, map[string]string{"max.message.bytes": fmt.Sprint(limit)})
			large := sized("large", limit-200-room)
			c.produce(texts.Name, large, sized("a", 1))
			i := c.start(copies(t), writes(topology.DeadLetter))
			if room == 0 { // the place alone takes more than that
				if got := i.failed(); !strings.Contains(got, `cannot be moved to topic "copies-dead-letters"`) || !strings.Contains(got, "max.message.bytes of 20000") {
					t.Errorf("error %q", got)
				}
				return
			}
			c.drained("copies-copy", texts.Name)
			letters := c.letters("copies-dead-letters")
			if len(letters) != 1 || !bytes.Equal(letters[0].Value, large.Value) {
				t.Fatalf("%d dead letters", len(letters))
			}
		})
	}
}

// A limit that is raised while the instance runs holds for the next large record:
// before something is refused the topic is asked again, by an input of its own, by
// several that are merged, and for the dead letters.
func TestLimitRaised(t *testing.T) {
	t.Parallel()
	const limit, raised = 20_000, 200_000
	merged := func(t testing.TB) *topology.Topology {
		b := topology.NewBuilder("copies")
		others := topology.Topic[string, string]{Name: "others", Key: codec.String{}, Value: codec.String{}}
		table := topology.ToTable(topology.Merge(topology.Consume(b, texts), topology.Consume(b, others)), topology.Store[string, string]{Name: "copy"})
		topology.Publish(table, topology.Topic[string, string]{Name: "out"})
		return build(t, b)
	}
	for name, what := range map[string]struct {
		of     func(testing.TB) *topology.Topology
		topic  string // that is limited
		policy topology.Policy
	}{
		"table":        {copies, "copies-copy-table", topology.Fail},
		"output":       {copies, "out", topology.Fail},
		"merged":       {merged, "out", topology.Fail},
		"dead letters": {copies, "copies-dead-letters", topology.DeadLetter},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			for _, topic := range []string{texts.Name, "others", "out", "copies-copy-table", "copies-dead-letters"} {
				config := map[string]string{"cleanup.policy": "delete"}
				if strings.HasSuffix(topic, "-table") {
					config["cleanup.policy"] = "compact"
				}
				if topic == what.topic || what.policy == topology.DeadLetter && topic == "out" {
					config["max.message.bytes"] = fmt.Sprint(limit)
				}
				c.create(topic, 1, config)
			}
			c.produce(texts.Name, sized("a", 10))
			i := c.start(what.of(t), writes(what.policy))
			c.drained("copies-copy", texts.Name)
			if err := c.configure(what.topic, "max.message.bytes", fmt.Sprint(raised)); err != nil {
				t.Fatal(err)
			}
			c.produce(texts.Name, sized("large", limit), sized("b", 10))
			c.drained("copies-copy", texts.Name)
			there := len(c.letters("copies-dead-letters")) == 1
			if what.policy == topology.Fail {
				there = len(lastValues(c.read(what.topic))["large"]) == limit
			}
			if s := i.Status().Counts; !there || s.Sessions != 1 {
				t.Errorf("%s has the large record: %v, after %d sessions", what.topic, there, s.Sessions)
			}
		})
	}
}

// While a limit stays as it is every large record is refused, and the topic is not
// asked for each of them. Once it is raised they go through.
func TestLimitKept(t *testing.T) {
	t.Parallel()
	const limit, raised = 20_000, 200_000
	c := newCluster(t, 1)
	c.create(texts.Name, 1, nil)
	c.create("out", 1, map[string]string{"max.message.bytes": fmt.Sprint(limit)})
	i := c.start(copies(t), writes(topology.Skip))
	c.produce(texts.Name, sized("a", 10))
	c.drained("copies-copy", texts.Name)
	var asked atomic.Int64
	c.ControlKey(int16(kmsg.DescribeConfigs), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		asked.Add(1)
		return nil, nil, false
	})
	bad, began := int64(0), time.Now()
	for asked.Load() < 3 {
		c.produce(texts.Name, sized(fmt.Sprint("bad", bad), limit))
		bad++
	}
	c.drained("copies-copy", texts.Name)
	if s := i.Status().Counts; s.Skipped != bad || s.Sessions != 1 {
		t.Errorf("%d skipped after %d sessions, want %d", s.Skipped, s.Sessions, bad)
	}
	if n, most := asked.Load(), int64(time.Since(began)/time.Second)+1; n > most {
		t.Errorf("the topic was asked %d times, want %d at most", n, most)
	}
	if err := c.configure("out", "max.message.bytes", fmt.Sprint(raised)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		c.produce(texts.Name, sized("good", limit))
		if len(lastValues(c.read("out"))["good"]) == 0 {
			return errors.New("the record is still refused")
		}
		return nil
	})
}
