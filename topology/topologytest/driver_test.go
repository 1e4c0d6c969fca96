package topologytest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

type hello struct {
	State string `json:"state"`
	Count int64  `json:"helloCount"`
	Total int64  `json:"helloTotalCount"`
}

var (
	journal = topology.Topic[string, hello]{Name: "hello-log-store", Key: codec.String{}, Value: codec.JSON[hello]{}}
	hellos  = topology.Store[string, hello]{Name: "hello-state-store"}
	counts  = topology.Store[string, int64]{Name: "hello-count-store"}
	changes = topology.Topic[string, hello]{Name: "hello-changes"}
)

func build(t testing.TB) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder("hello")
	topology.Publish(topology.Materialize(b, journal, hellos), changes)
	topology.Count(topology.Consume(b, journal), counts)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func TestDriver(t *testing.T) {
	d := topologytest.New(t, build(t), 4)
	for i := range int64(10) {
		topologytest.Send(d, journal, "testid-01", hello{"HAPPY", i + 1, (i + 1) * 10})
	}
	topologytest.Send(d, journal, "testid-02", hello{"ANGRY", 1, 1})
	topologytest.Delete(d, journal, "testid-02")
	for range 2 {
		if diff := cmp.Diff(map[string]hello{"testid-01": {"HAPPY", 10, 100}}, topologytest.Rows(d, hellos)); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]int64{"testid-01": 10, "testid-02": 1}, topologytest.Rows(d, counts)); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		d.Restart()
	}
	topologytest.Send(d, journal, "testid-02", hello{"ANGRY", 2, 2})
	if got := topologytest.Rows(d, counts)["testid-02"]; got != 2 {
		t.Errorf("after the restart it counts to %d, want 2", got)
	}
}

func TestReceived(t *testing.T) {
	d := topologytest.New(t, build(t), 3)
	d.At(time.UnixMilli(7).UTC())
	topologytest.Send(d, journal, "a", hello{State: "HAPPY"})
	d.At(time.UnixMilli(5).UTC())
	topologytest.Delete(d, journal, "a")
	p := topology.Partition([]byte("a"), 3)
	want := []topology.Record[string, *hello]{
		{Key: "a", Value: &hello{State: "HAPPY"}, Time: time.UnixMilli(7).UTC(), Position: topology.Position{Topic: "hello-changes", Partition: p}},
		{Key: "a", Time: time.UnixMilli(5).UTC(), Position: topology.Position{Topic: "hello-changes", Partition: p, Offset: 1}},
	}
	if diff := cmp.Diff(want, topologytest.Received(d, changes)); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
	if got := topologytest.Received(d, changes); len(got) > 0 {
		t.Errorf("received again: %v", got)
	}
}

func TestSendRaw(t *testing.T) {
	d := topologytest.New(t, build(t), 3)
	spoilt := topology.Raw{
		Key: []byte("a"), Value: []byte("{"), Time: time.UnixMilli(3),
		Headers:  []topology.Header{{Key: "trace"}},
		Position: topology.Position{Topic: "hello-log-store", Partition: 2, Offset: 99},
	}
	d.SendRaw(spoilt)
	spoilt.Value = []byte("{}")
	d.SendRaw(spoilt)
	var got []string
	for _, err := range d.Errors() {
		got = append(got, err.Error())
	}
	want := []string{
		"record hello-log-store/2@0: table hello-state-store: decode value: unexpected end of JSON input",
		"record hello-log-store/2@0: count hello-count-store: decode value: unexpected end of JSON input",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	r := topologytest.Received(d, changes)
	if len(r) != 1 || !r[0].Time.Equal(time.UnixMilli(3)) || len(r[0].Headers) != 1 {
		t.Errorf("received %v", r)
	}
	if errs := d.Errors(); len(errs) > 0 {
		t.Errorf("errors again: %v", errs)
	}
}

// quiet is a test that may fail.
type quiet struct {
	testing.TB
	failures []string
	cleanup  func()
}

func (*quiet) Helper()                     {}
func (q *quiet) Cleanup(fn func())         { q.cleanup = fn }
func (q *quiet) Errorf(f string, v ...any) { q.failures = append(q.failures, fmt.Sprintf(f, v...)) }
func (q *quiet) Fatalf(f string, v ...any) { q.Errorf(f, v...) }

// An error that nobody has asked for fails the test.
func TestErrorsAreNotForgotten(t *testing.T) {
	q := &quiet{TB: t}
	d := topologytest.New(q, build(t), 1)
	d.SendRaw(topology.Raw{Position: topology.Position{Topic: "hello-log-store"}, Key: []byte("a"), Value: []byte("{")})
	q.cleanup()
	if len(q.failures) != 2 {
		t.Errorf("failures: %q", q.failures)
	}
}

func TestUnknownTopic(t *testing.T) {
	q := &quiet{TB: t}
	topologytest.New(q, build(t), 1).SendRaw(topology.Raw{Position: topology.Position{Topic: "x"}})
	if diff := cmp.Diff([]string{`topic "x": nothing reads it`}, q.failures); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
