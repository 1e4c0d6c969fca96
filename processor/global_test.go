package processor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/internal/store"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// A saying explains a state.
type saying struct {
	Text string `json:"text"`
}

var (
	moods     = topology.Topic[string, saying]{Name: "moods", Key: codec.String{}, Value: codec.JSON[saying]{}}
	allMoods  = topology.Store[string, saying]{Name: "all-moods"}
	explained = topology.Store[string, string]{Name: "explained", Value: codec.String{}}
)

// explaining keeps for each key the text of its last greeting that has one.
func explaining(t testing.TB, moods topology.Topic[string, saying]) *topology.Topology {
	b := topology.NewBuilder("explain")
	global := topology.Broadcast(b, moods, allMoods)
	joined := topology.JoinGlobal(topology.Consume(b, journal), global,
		func(_ string, h hello) (string, bool) { return h.State, true },
		topology.Inner(func(_ string, _ hello, m saying) string { return m.Text }))
	topology.ToTable(joined, explained)
	return build(t, b)
}

// said is a record of moods; a mood without a text is none.
func said(state, text string) topology.Raw {
	r := topology.Raw{Position: topology.Position{Topic: moods.Name}, Key: []byte(state)}
	if text != "" {
		r.Value = []byte(`{"text":"` + text + `"}`)
	}
	return r
}

// in is a greeting of a key that is in a state.
func in(state, key string) topology.Raw {
	r, err := journal.Encode(key, hello{State: state})
	if err != nil {
		panic(err)
	}
	return r
}

// manyMoods are n moods.
func manyMoods(n int) (raws []topology.Raw) {
	for i := range n {
		raws = append(raws, said(fmt.Sprintf("state-%d", i), fmt.Sprintf("text-%d", i)))
	}
	return raws
}

// newMoody starts Kafka with a journal, and moods over some partitions.
func newMoody(t *testing.T, raws ...topology.Raw) *cluster {
	t.Helper()
	c := newCluster(t, 2)
	c.create(journal.Name, 2, nil)
	c.create(moods.Name, 3, map[string]string{"cleanup.policy": "compact"})
	c.produce(moods.Name, raws...)
	return c
}

// configure sets a setting of a topic.
func (c *cluster) configure(topic, name, value string) error {
	req := kmsg.NewIncrementalAlterConfigsRequest()
	req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
		ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: topic,
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: name, Value: &value}},
	}}
	_, err := req.RequestWith(context.Background(), c.client)
	return err
}

// dawdle has a topic be read slowly, batch by batch.
func (c *cluster) dawdle(topic string) {
	c.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		for _, t := range r.(*kmsg.FetchRequest).Topics {
			for p := range t.Partitions {
				if t.Topic == topic {
					t.Partitions[p].PartitionMaxBytes = 1
				}
			}
			if t.Topic == topic {
				c.SleepControl(func() { time.Sleep(10 * time.Millisecond) })
			}
		}
		return nil, nil, false
	})
}

// has waits until a row of a view is as wanted, "" for none.
func has[V any](t *testing.T, v processor.View[string, V], key string, want V, none bool) {
	t.Helper()
	eventually(t, func() error {
		r, ok, err := v.Get(t.Context(), key)
		if err != nil || ok == none || fmt.Sprint(r.Value) != fmt.Sprint(want) {
			return fmt.Errorf("row %q is %v, %v: want %v: %w", key, r.Value, ok, want, err)
		}
		return nil
	})
}

// All of the topic is there before the first record is processed, on every
// instance; what changes later is seen, too.
func TestGlobalTable(t *testing.T) {
	t.Parallel()
	const n = 3000
	c := newMoody(t)
	for batch := range slices.Chunk(manyMoods(n), 20) {
		c.produce(moods.Name, batch...)
	}
	c.dawdle(moods.Name)
	var greetings []topology.Raw
	for i := range 500 {
		greetings = append(greetings, in(fmt.Sprintf("state-%d", n-1-i), fmt.Sprintf("key-%d", i)))
	}
	c.produce(journal.Name, greetings...)
	one, two := c.start(explaining(t, moods), nil), c.start(explaining(t, moods), nil)
	eventually(t, func() error { // it says how far it is
		s := one.Status()
		_, _, err := processor.Query(one.Processor, allMoods).Get(t.Context(), "state-1")
		if s.State != processor.Restoring || s.Globals[0].Restore == 0 || !errors.Is(err, processor.ErrRestoring) || !strings.Contains(err.Error(), "records to read") {
			return fmt.Errorf("status %+v, and a query: %w", s, err)
		}
		return nil
	})
	c.drained("explain-"+explained.Name, journal.Name)
	want := map[string]string{}
	for i := range 500 {
		want[fmt.Sprintf("key-%d", i)] = fmt.Sprintf("text-%d", n-1-i)
	}
	if diff := cmp.Diff(want, lastValues(c.read("explain-"+explained.Name+"-table"))); diff != "" {
		t.Errorf("rows joined with what was there before (-want +got):\n%s", diff)
	}

	c.produce(moods.Name, said("state-1", "new"), said("state-2", ""), said("late", "at last"))
	for _, i := range []*instance{one, two} {
		view := processor.Query(i.Processor, allMoods)
		has(t, view, "state-1", saying{"new"}, false)
		has(t, view, "state-2", saying{}, true)
		has(t, view, "late", saying{"at last"}, false)
		rows := map[string]string{}
		if err := i.rows(allMoods.Name, rows); err != nil || len(rows) != n {
			t.Errorf("%d rows, %v: want %d", len(rows), err, n)
		}
		if g := i.Status().Globals; len(g) != 1 || g[0].Table != allMoods.Name || g[0].Topic != moods.Name ||
			g[0].Partitions != 3 || g[0].State != processor.Running || g[0].Restore != 0 || g[0].Lag != 0 {
			t.Errorf("status %+v", g)
		}
	}
	c.produce(journal.Name, in("state-1", "x"), in("state-2", "y"), in("late", "z"))
	c.drained("explain-"+explained.Name, journal.Name)
	got := lastValues(c.read("explain-" + explained.Name + "-table"))
	if got["x"] != "new" || got["z"] != "at last" {
		t.Errorf("x is %q, z is %q", got["x"], got["z"])
	}
	if y, ok := got["y"]; ok {
		t.Errorf("joined with a deleted row: %q", y)
	}
	if err := errors.Join(one.stop(), two.stop()); err != nil {
		t.Error(err)
	}
}

// A global table answers over HTTP and is watched, from whichever instance.
func TestGlobalTableQueries(t *testing.T) {
	t.Parallel()
	c := newMoody(t, said("a", "1"), said("b", "2"), said("c", "3"))
	c.start(explaining(t, moods), nil).await(processor.Running)
	i := c.start(explaining(t, moods), nil)
	i.await(processor.Running)
	get := func(path string) string {
		w := httptest.NewRecorder()
		i.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path, nil))
		body, err := io.ReadAll(w.Result().Body)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(w.Code, " ", string(body))
	}
	p := topology.Partition([]byte("b"), 3)
	for path, want := range map[string]string{
		"/v1/tables/all-moods/b": `200 {"text":"2"}` + "\n",
		"/v1/tables/all-moods?from=b&to=c": fmt.Sprintf(`200 {"key":"b","value":{"text":"2"},"partition":%d,"offset":%d}`+"\n",
			p, c.PartitionInfo(moods.Name, p).HighWatermark),
		"/v1/tables": `200 [{"table":"all-moods","topic":"moods","state":"running","partitions":[0,1,2],"restore":0},`,
	} {
		if got := get(path); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen := map[string]string{}
	for r, err := range processor.Query(i.Processor, allMoods).Watch(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		seen[r.Key] = ""
		if r.Value != nil {
			seen[r.Key] = r.Value.Text
		}
		if len(seen) == 3 && seen["b"] == "2" {
			c.produce(moods.Name, topology.Raw{Value: []byte(`{}`)}, said("b", ""), said("d", "4"))
		}
		if len(seen) == 4 && seen["b"] == "" {
			break
		}
	}
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "", "c": "3", "d": "4"}, seen); diff != "" {
		t.Errorf("watched (-want +got):\n%s", diff)
	}
}

// What is on the disk is used as it is.
func TestGlobalTableRestart(t *testing.T) {
	t.Parallel()
	c := newMoody(t, manyMoods(100)...)
	i := c.start(explaining(t, moods), nil)
	i.await(processor.Running)
	if n := i.Status().Counts.Restored; n != 100 {
		t.Errorf("read %d records, want 100", n)
	}
	c.produce(moods.Name, said("state-1", "new"))
	has(t, processor.Query(i.Processor, allMoods), "state-1", saying{"new"}, false)
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	c.produce(moods.Name, said("state-2", ""), said("state-3", "newer"), topology.Raw{Value: []byte(`{"text":"without a key"}`)})
	i = c.start(explaining(t, moods), keep(i.dir))
	i.await(processor.Running)
	if s := i.Status(); s.Counts.Restored != 2 || s.Counts.Dropped != 1 {
		t.Errorf("read %d records and dropped %d, want 2 and 1", s.Counts.Restored, s.Counts.Dropped)
	}
	view := processor.Query(i.Processor, allMoods)
	has(t, view, "state-1", saying{"new"}, false)
	has(t, view, "state-2", saying{}, true)
	has(t, view, "state-3", saying{"newer"}, false)
	has(t, view, "state-99", saying{"text-99"}, false)
}

// A store that does not go with its topic is wiped, with a word.
func TestGlobalTableWiped(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]struct {
		harm func(c *cluster, s *store.Store) error
		word string
	}{
		"ahead": {func(_ *cluster, s *store.Store) error {
			s.Note("1000 0 0")
			return s.Commit(1000)
		}, "it is at moods/0@1000, which ends at"},
		"of more partitions": {func(_ *cluster, s *store.Store) error {
			s.Note("1 1 1 1")
			return s.Commit(4)
		}, "it has 4 partitions, and topic moods has 3"},
		"of another topic": {func(_ *cluster, s *store.Store) error {
			return s.Begin("another")
		}, `it does not say whose it is: "another"`},
		"damaged": {func(_ *cluster, s *store.Store) error {
			s.Note("1 x 1")
			return s.Commit(4)
		}, `its offsets are damaged: "1 x 1"`},
		"truncated": {func(c *cluster, s *store.Store) error {
			s.Note("1 1 1")
			for _, p := range c.PartitionInfos(moods.Name) {
				if err := c.DeleteRecords(moods.Name, p.Partition, 2); err != nil {
					return err
				}
			}
			return s.Commit(3)
		}, "@1, which begins at 2"},
		"left for too long": {func(c *cluster, s *store.Store) error {
			s.Note("1 1 1")
			return errors.Join(s.Commit(3), c.configure(moods.Name, "delete.retention.ms", "2000"))
		}, "ago, and topic moods keeps tombstones for 2s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newMoody(t, manyMoods(30)...)
			i := c.start(explaining(t, moods), nil)
			i.await(processor.Running)
			if err := i.stop(); err != nil {
				t.Fatal(err)
			}
			s, _, err := store.Open(filepath.Join(i.dir, allMoods.Name, "global"), store.Options{}, func(store.Origin) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			s.Put([]byte("stale"), []byte("{}"), 0)
			if err := errors.Join(w.harm(c, s), s.Commit(s.Position()), s.Close(false)); err != nil {
				t.Fatal(err)
			}
			if name == "left for too long" {
				time.Sleep(2100 * time.Millisecond) // time itself makes the position old
			}
			i = c.start(explaining(t, moods), keep(i.dir))
			i.await(processor.Running)
			if !i.log.contains("local global table wiped, to be read from its topic") || !i.log.contains(strings.ReplaceAll(w.word, `"`, `\"`)) {
				t.Errorf("want it to say %q:\n%s", w.word, i.log)
			}
			rows := map[string]string{}
			if err := i.rows(allMoods.Name, rows); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(lastValues(c.read(moods.Name)), rows); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

// A topic that is made anew, under a running instance, is read anew before the
// next record is processed.
func TestGlobalTableMadeAnew(t *testing.T) {
	t.Parallel()
	c := newMoody(t, manyMoods(30)...)
	i := c.start(explaining(t, moods), nil)
	i.await(processor.Running)
	if err := c.DeleteTopic(moods.Name); err != nil {
		t.Fatal(err)
	}
	c.create(moods.Name, 3, nil)
	c.client.PurgeTopicsFromClient(moods.Name) // it knows the old one
	c.produce(moods.Name, said("state-1", "anew"))
	view := processor.Query(i.Processor, allMoods)
	has(t, view, "state-1", saying{"anew"}, false)
	has(t, view, "state-2", saying{}, true)
	i.await(processor.Running)
	c.produce(journal.Name, in("state-1", "x"), in("state-2", "y"))
	c.drained("explain-"+explained.Name, journal.Name)
	if diff := cmp.Diff(map[string]string{"x": "anew"}, lastValues(c.read("explain-"+explained.Name+"-table"))); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// A transaction that is open when the instance starts does not hold it up; what
// was aborted is never seen.
func TestGlobalTableTransactions(t *testing.T) {
	t.Parallel()
	c := newMoody(t, said("a", "1"))
	c.transaction(kgo.TryAbort, moods.Name, said("a", "aborted"), said("b", "aborted"))
	open := c.open(moods.Name, said("a", "open"), said("b", "open"), said("c", "open"))
	i := c.start(explaining(t, moods), nil)
	i.await(processor.Running)
	view := processor.Query(i.Processor, allMoods)
	has(t, view, "a", saying{"1"}, false)
	has(t, view, "b", saying{}, true)
	if err := open.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b", "c"} {
		has(t, view, key, saying{"open"}, false)
	}
}

// A record that the codec refuses goes where the policy says.
func TestGlobalTableRefuses(t *testing.T) {
	t.Parallel()
	spoilt := topology.Raw{Key: []byte("spoilt"), Value: []byte(`{"text":1}`)}
	for name, test := range map[string]struct {
		policy topology.Policy
		later  bool
	}{
		"fail at start": {topology.Fail, false},
		"fail later":    {topology.Fail, true},
		"skip":          {topology.Skip, false},
		"skip later":    {topology.Skip, true},
		"dead letter":   {topology.DeadLetter, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newMoody(t, manyMoods(30)...)
			from := moods
			from.Policies.Decode = test.policy
			if !test.later {
				c.produce(moods.Name, spoilt, said("last", "one"))
			}
			i := c.start(explaining(t, from), nil)
			if test.later {
				i.await(processor.Running)
				c.produce(moods.Name, spoilt, said("last", "one"))
			}
			if test.policy != topology.Fail {
				view := processor.Query(i.Processor, allMoods)
				has(t, view, "last", saying{"one"}, false)
				has(t, view, "spoilt", saying{}, true)
				if n := i.Status().Counts.Skipped; n != 1 {
					t.Errorf("%d skipped, want 1", n)
				}
				return
			}
			text := i.failed()
			if e := (*topology.RecordError)(nil); !errors.As(i.err, &e) || e.Topic != moods.Name || e.Node != "global table all-moods" {
				t.Errorf("error %#v", i.err)
			}
			if !strings.Contains(text, "global table all-moods: decode value: ") {
				t.Errorf("error %q", text)
			}
		})
	}
}

// A global table that no step looks at is there for queries; its errors end the
// instance all the same.
func TestGlobalTableForQueriesOnly(t *testing.T) {
	t.Parallel()
	c := newMoody(t, said("a", "1"))
	b := topology.NewBuilder("aside")
	topology.Broadcast(b, moods, allMoods)
	topology.Materialize(b, journal, hellos)
	i := c.start(build(t, b), nil)
	has(t, processor.Query(i.Processor, allMoods), "a", saying{"1"}, false)
	c.produce(moods.Name, topology.Raw{Key: []byte("spoilt"), Value: []byte(`{`)})
	if text := i.failed(); !strings.Contains(text, "global table all-moods: decode value: ") {
		t.Errorf("error %q", text)
	}
}

// While Kafka is away the table answers, and then goes on.
func TestGlobalTableWithoutKafka(t *testing.T) {
	t.Parallel()
	c := newMoody(t, said("a", "1"))
	i := c.start(explaining(t, moods), func(cfg *processor.Config) { cfg.Kafka = impatient() })
	i.await(processor.Running)
	c.network.Cut()
	view := processor.Query(i.Processor, allMoods)
	eventually(t, func() error {
		if s := i.Status().Globals[0]; s.Err == "" {
			return errors.New("it is silent about Kafka")
		}
		return nil
	})
	if r, ok, err := view.Get(t.Context(), "a"); err != nil || !ok || r.Value.Text != "1" {
		t.Errorf("without Kafka: %v, %v, %v", r, ok, err)
	}
	c.network.Mend()
	c.produce(moods.Name, said("a", "2"))
	has(t, view, "a", saying{"2"}, false)
	eventually(t, func() error {
		if s := i.Status().Globals[0]; s.Err != "" || s.State != processor.Running {
			return fmt.Errorf("status %+v", s)
		}
		return nil
	})
}

// Partitions that a topic gets later are read, too.
func TestGlobalTableGrows(t *testing.T) {
	t.Parallel()
	c := newMoody(t, said("a", "1"))
	i := c.start(explaining(t, moods), nil)
	i.await(processor.Running)
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	more := kmsg.NewCreatePartitionsRequest()
	more.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: moods.Name, Count: 7}}
	if _, err := more.RequestWith(t.Context(), c.client); err != nil {
		t.Fatal(err)
	}
	c.client.PurgeTopicsFromClient(moods.Name) // it knows three
	var raws []topology.Raw
	for n := range 30 {
		raws = append(raws, said(strconv.Itoa(n), "grown"))
	}
	c.produce(moods.Name, raws...)
	i = c.start(explaining(t, moods), keep(i.dir))
	i.await(processor.Running)
	rows := map[string]string{}
	if err := i.rows(allMoods.Name, rows); err != nil || len(rows) != 31 {
		t.Errorf("%d rows, %v: want 31", len(rows), err)
	}
}
