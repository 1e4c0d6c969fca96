package processor_test

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

const trialPartitions = 2

// A trial runs the same records through one topology twice: through the test
// driver, which is the truth, and on Kafka, where a first instance is stopped half
// way and a second one goes on.
type trial struct {
	operator
	*cluster
	topo   *topology.Topology
	driver *topologytest.Driver
	dir    string

	published map[string][]topology.Raw // by the driver, by topic
	records   int64                     // that the driver has processed since the instance was started
	outputs   int64                     // that it has published
}

// An ending is how the first instance comes to its end, and what the second one
// finds on the disk.
type ending struct {
	hard bool // its last transaction is refused, with half a step in it
	lost bool // the disk is empty
}

func (e ending) String() string {
	return map[bool]string{false: "stopped", true: "refused"}[e.hard] + map[bool]string{false: ", kept", true: ", lost"}[e.lost]
}

// try runs an operator to its end, and compares everything.
func (o operator) try(t *testing.T, seed uint64, e ending) {
	x := &trial{operator: o, cluster: newCluster(t, 1), dir: t.TempDir(), published: map[string][]topology.Raw{}}
	x.topo = x.build()
	x.driver = topologytest.New(t, x.build(), trialPartitions)
	for topic := range x.topics(false) {
		x.create(topic, trialPartitions, nil)
	}
	halves := o.generate(seed)

	first := x.run(halves[0])
	if e.hard {
		h := x.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownServerError, Count: -1})
		x.send(halves[1][0])
		select {
		case <-first.ended:
		case <-time.After(patience):
			t.Fatal("the instance goes on")
		}
		if h.Hits() == 0 || first.err == nil {
			t.Fatalf("no commit was refused: %v", first.err)
		}
		h.Remove()
	} else if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	if e.lost {
		x.dir = t.TempDir()
	}
	if !e.hard {
		x.send(halves[1][0])
	}
	second := x.resume(halves[1])
	x.compare(second)
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
	x.compareDisk()
	if o.check != nil {
		o.check(t)
	}
}

func (x *trial) build() *topology.Topology {
	b := topology.NewBuilder("trial")
	x.declare(b)
	return build(x.t, b)
}

// topics yields the topics that are not tidemark's, or of these the outputs only.
func (x *trial) topics(outputs bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, topic := range append(x.topo.Topics(), x.routed...) {
			ours := slices.ContainsFunc(x.topo.Repartitions(), func(r topology.RepartitionTopic) bool { return r.Topic == topic })
			source := slices.ContainsFunc(x.sources, func(s source) bool { return s.topic == topic })
			if ours || outputs && source {
				continue
			}
			if !yield(topic) {
				return
			}
		}
	}
}

// run starts an instance on the first of some steps, which is on Kafka before
// it is, and returns when it has processed all of them.
func (x *trial) run(steps []step) *instance {
	x.t.Helper()
	x.send(steps[0])
	return x.resume(steps)
}

// resume is run for a first step that was sent.
func (x *trial) resume(steps []step) *instance {
	x.t.Helper()
	x.records, x.outputs = 0, 0
	i := x.start(x.topo, func(cfg *processor.Config) {
		cfg.StateDir, cfg.SessionTimeout = x.dir, patience
		cfg.OnError = func(error) processor.Answer { return processor.StopInstance }
	})
	for n, s := range steps {
		if n > 0 {
			x.send(s)
		}
		x.drive(s)
		x.settle(i)
	}
	return i
}

func (x *trial) send(s step) {
	x.t.Helper()
	global := map[string]bool{}
	for _, g := range x.topo.Globals() {
		global[g.Topic] = true
	}
	byTopic := map[string][]topology.Raw{}
	for _, r := range s {
		byTopic[r.Topic] = append(byTopic[r.Topic], r)
	}
	for _, first := range []bool{true, false} {
		for topic, raws := range byTopic {
			if global[topic] == first {
				x.produce(topic, raws...)
			}
		}
	}
}

// drive gives the driver a step, in the order in which tasks take it.
func (x *trial) drive(s step) {
	x.t.Helper()
	moved := map[string]int64{} // records by topic
	for _, r := range x.merged(s) {
		x.driver.SendRaw(r)
		moved[r.Topic]++
	}
	x.driver.Advance(time.Minute)
	for _, topic := range append(x.topo.Topics(), x.routed...) {
		raws := x.driver.ReceivedRaw(topic)
		x.published[topic] = append(x.published[topic], raws...)
		moved[topic] += int64(len(raws))
		x.outputs += int64(len(raws))
	}
	for _, g := range x.topo.Groups() {
		for _, topic := range g.Inputs {
			x.records += moved[topic]
		}
	}
	if refused := len(x.driver.Errors()); refused > 0 != x.refuses {
		x.t.Fatalf("%d records were refused", refused)
	}
}

// merged sorts records as tasks do: partition by partition, that of the smallest
// time among the first ones of all topics comes next. Global tables are there
// before.
func (x *trial) merged(s step) (order []topology.Raw) {
	for _, g := range x.topo.Globals() {
		for _, r := range s {
			if r.Topic == g.Topic {
				order = append(order, r)
			}
		}
	}
	for p := range int32(trialPartitions) {
		byTopic := map[string][]topology.Raw{}
		for _, r := range s {
			if r.Partition == p && !slices.ContainsFunc(x.topo.Globals(), func(g topology.Global) bool { return g.Topic == r.Topic }) {
				byTopic[r.Topic] = append(byTopic[r.Topic], r)
			}
		}
		for len(byTopic) > 0 {
			topics := slices.Sorted(maps.Keys(byTopic))
			next := slices.MinFunc(topics, func(a, b string) int { return x.time(byTopic[a][0]).Compare(x.time(byTopic[b][0])) })
			order = append(order, byTopic[next][0])
			if byTopic[next] = byTopic[next][1:]; len(byTopic[next]) == 0 {
				delete(byTopic, next)
			}
		}
	}
	return order
}

func (o operator) time(r topology.Raw) time.Time {
	if o.timed {
		ms, _ := strconv.ParseInt(string(r.Value), 10, 64)
		return time.UnixMilli(ms)
	}
	return r.Time
}

// settle waits until an instance has processed what the driver has.
func (x *trial) settle(i *instance) {
	x.t.Helper()
	eventually(x.t, func() error {
		select {
		case <-i.ended:
			x.t.Fatalf("the instance has ended: %v", i.err)
		default:
		}
		if n := i.Status().Counts; n.Records != x.records || n.Published < x.outputs {
			return fmt.Errorf("%d records processed and %d published, want %d and %d", n.Records, n.Published, x.records, x.outputs)
		}
		return nil
	})
}

// compare compares changelogs, tables and topics with what the driver has.
func (x *trial) compare(i *instance) {
	x.t.Helper()
	for _, g := range x.topo.Groups() {
		for _, s := range g.Stores {
			x.becomes("changelog of "+s.Name, x.rows(s.Name), func() any {
				rows := map[string]string{}
				for _, r := range x.read(s.Changelog) {
					if r.Value == nil {
						delete(rows, string(r.Key))
					} else {
						rows[string(r.Key)] = rowText(r.Value, r.Time.UnixMilli())
					}
				}
				return rows
			})
			if s.Table {
				x.becomes("table "+s.Name, x.rows(s.Name), func() any { return x.served(i, s.Name) })
			}
		}
	}
	for _, g := range x.topo.Globals() {
		x.becomes("global table "+g.Store, x.rows(g.Store), func() any { return x.served(i, g.Store) }) // it is followed beside the tasks
	}
	for topic := range x.topics(true) {
		x.becomes("records of "+topic, recordTexts(x.published[topic]), func() any { return recordTexts(x.read(topic)) })
	}
}

// becomes waits until something is as it should be: the counts that settle waits
// for tell which records are committed, and not what timers have written since.
func (x *trial) becomes(what string, want any, got func() any) {
	x.t.Helper()
	eventually(x.t, func() error {
		if diff := gocmp.Diff(want, got()); diff != "" {
			return fmt.Errorf("%s (-driver +kafka):\n%s", what, diff)
		}
		return nil
	})
}

// compareDisk compares what the stopped instance has left on the disk.
func (x *trial) compareDisk() {
	x.t.Helper()
	for _, g := range x.topo.Groups() {
		for _, s := range g.Stores {
			rows := map[string]string{}
			for p := range trialPartitions {
				left, wiped, err := store.Open(filepath.Join(x.dir, s.Name, strconv.Itoa(p)), store.Options{
					Ordered: s.Ordered, Deadline: s.Deadline, DeadlineByKey: s.DeadlineByKey, DeadlineName: s.DeadlineName,
				}, func(store.Origin) error { return nil })
				if err != nil || wiped != "" {
					x.t.Fatal(err, wiped)
				}
				snap, err := left.Snapshot()
				if err != nil {
					x.t.Fatal(err)
				}
				for r, err := range snap.Rows(nil, nil) {
					if err != nil {
						x.t.Fatal(err)
					}
					rows[string(r.Key)] = rowText(r.Value, r.Time)
				}
				snap.Release()
				if err := left.Close(false); err != nil {
					x.t.Fatal(err)
				}
			}
			x.equal("disk of "+s.Name, x.rows(s.Name), rows)
		}
	}
}

func (x *trial) equal(what string, want, got any) {
	x.t.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		x.t.Errorf("%s (-driver +kafka):\n%s", what, diff)
	}
}

// rows are the driver's of a store.
func (x *trial) rows(name string) map[string]string {
	rows := map[string]string{}
	for _, r := range x.driver.RowsRaw(name) {
		rows[string(r.Key)] = rowText(r.Value, r.Time)
	}
	return rows
}

// served are the rows that an instance shows.
func (x *trial) served(i *instance, name string) map[string]string {
	x.t.Helper()
	rows := map[string]string{}
	for r, err := range i.Rows(x.t.Context(), name) {
		if err != nil {
			x.t.Fatal(err)
		}
		rows[string(r.Key)] = rowText(r.Value, r.Time.UnixMilli())
	}
	return rows
}

func rowText(value []byte, at int64) string { return fmt.Sprintf("%q@%d", value, at) }

// recordTexts are the records of each key in their order. Those without a key
// lie in any partition, and have none.
func recordTexts(raws []topology.Raw) map[string][]string {
	texts := map[string][]string{}
	for _, r := range raws {
		key, text := "no key", rowText(r.Value, r.Time.UnixMilli())
		if r.Value == nil {
			text = fmt.Sprintf("tombstone@%d", r.Time.UnixMilli())
		}
		if r.Key != nil {
			key = fmt.Sprintf("%d: %q", r.Partition, r.Key)
		}
		for _, h := range r.Headers {
			text += fmt.Sprintf(" %s=%s", h.Key, h.Value)
		}
		texts[key] = append(texts[key], text)
	}
	slices.Sort(texts["no key"])
	return texts
}

// A step is records that are sent together. The next one is sent when it is
// processed.
type step []topology.Raw

// A source is a topic whose records are made up.
type source struct {
	topic string
	value func(r *rand.Rand, key string) string // defaults to a digit
	keys  int                                   // defaults to 8: a to g, and an empty one
}

func (s source) count() int { return cmp.Or(s.keys, 8) }

// seedsVariable is how many seeds tests with made-up records and moments try.
const seedsVariable = "TIDEMARK_TEST_SEEDS"

func seeds(t *testing.T, few int) int {
	t.Helper()
	text := os.Getenv(seedsVariable)
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", seedsVariable, err)
	}
	return n
}

// generate makes the records of both halves up, the same each time. Some have
// no value, or an empty one, no key, or an empty one, or are older than those
// before.
func (o operator) generate(seed uint64) (halves [2][]step) {
	r := rand.New(rand.NewPCG(seed, 1))
	now := int64(1000)
	for h := range halves {
		if !o.stepwise {
			var all step
			for n := range 70 {
				from := o.sources[r.IntN(len(o.sources))]
				now += r.Int64N(20)
				at := now
				if h == 1 && n < 10 {
					at -= 300 // who does not know how late it is takes it for early
				}
				made := o.made(r, from, r.IntN(from.count()), at)
				if r.IntN(3) == 0 && !o.timed {
					made.Time = made.Time.Add(-time.Duration(r.IntN(80)) * time.Millisecond)
				}
				all = append(all, made)
			}
			halves[h] = []step{all}
			continue
		}
		for n := range 8 {
			from := o.sources[(h+n)%len(o.sources)]
			var some step
			for key := range from.count() {
				if now += r.Int64N(20); key == 0 || r.IntN(3) > 0 {
					some = append(some, o.made(r, from, key, now))
				}
			}
			halves[h] = append(halves[h], some)
		}
	}
	return halves
}

// made is one record of a source.
func (o operator) made(r *rand.Rand, from source, key int, now int64) topology.Raw {
	made := topology.Raw{Key: []byte("abcdefg")[min(key, 7):min(key+1, 7)], Time: time.UnixMilli(now), Position: topology.Position{Topic: from.topic}}
	if r.IntN(25) == 0 && !o.stepwise {
		made.Key = nil
	}
	value := strconv.Itoa(1 + r.IntN(9))
	if from.value != nil {
		value = from.value(r, string(made.Key))
	} else if r.IntN(15) == 0 {
		value = ""
	}
	made.Value = []byte(value)
	if r.IntN(12) == 0 {
		made.Value = nil
	}
	if o.timed { // and the times of records say the contrary
		made.Value, made.Time = strconv.AppendInt(nil, now-r.Int64N(80), 10), time.UnixMilli(100_000-now)
	}
	if r.IntN(4) == 0 {
		made.Headers = []topology.Header{{Key: "trace", Value: strconv.AppendInt(nil, now, 10)}}
	}
	made.Partition = topology.Partition(made.Key, trialPartitions)
	return made
}
