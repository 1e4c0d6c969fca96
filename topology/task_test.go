package topology_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

type hello struct {
	State string `json:"state"`
	Count int64  `json:"helloCount"`
	Total int64  `json:"helloTotalCount"`
}

var (
	journal = topology.Topic[string, hello]{Name: "hello-log-store", Key: codec.String{}, Value: codec.JSON[hello]{}}
	hellos  = topology.Store[string, hello]{Name: "hello-state-store"}
	counts  = topology.Store[string, int64]{Name: "hello-counts"}
)

// rows is a Reader in a map.
type rows map[string][]byte

func (r rows) Get(key []byte) ([]byte, error) { return r[string(key)], nil }

func (r rows) apply(w topology.Writes) {
	for _, row := range w.Rows {
		r[string(row.Key)] = row.Value
		if row.Value == nil {
			delete(r, string(row.Key))
		}
	}
}

func build(t testing.TB, declare func(*topology.Builder)) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder("hello")
	declare(b)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

const testid = `{"state":"HAPPY","helloCount":10,"helloTotalCount":100}`

func record(key, value string) topology.Raw {
	return topology.Raw{
		Key:      []byte(key),
		Value:    []byte(value),
		Time:     time.UnixMilli(1000),
		Headers:  []topology.Header{{Key: "trace", Value: []byte("7")}},
		Position: topology.Position{Topic: "hello-log-store", Partition: 1, Offset: 2},
	}
}

func TestMaterializeWritesTheRecordsBytes(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		topology.Publish(topology.Materialize(b, journal, hellos), topology.Topic[string, hello]{Name: "changes"})
	})
	in := record("testid-01", testid)
	got, err := topo.Groups()[0].NewTask(rows{}).Process(in)
	if err != nil {
		t.Fatal(err)
	}
	want := topology.Writes{
		Rows:    []topology.Raw{{Key: in.Key, Value: in.Value, Time: in.Time}},
		Records: []topology.Raw{{Key: in.Key, Value: in.Value, Time: in.Time, Headers: in.Headers, Position: topology.Position{Topic: "changes"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	if &got.Rows[0].Value[0] != &in.Value[0] {
		t.Error("the value was copied")
	}
}

func BenchmarkMaterialize(b *testing.B) {
	topo := build(b, func(b *topology.Builder) { topology.Materialize(b, journal, hellos) })
	benchmark(b, topo, rows{})
}

func BenchmarkCount(b *testing.B) {
	topo := build(b, func(b *topology.Builder) { topology.Count(topology.Consume(b, journal), counts) })
	benchmark(b, topo, rows{"testid-01": {0, 0, 0, 0, 0, 0, 0, 9}})
}

func benchmark(b *testing.B, topo *topology.Topology, r rows) {
	task := topo.Groups()[0].NewTask(r)
	in := record("testid-01", testid)
	b.ReportAllocs()
	b.SetBytes(int64(len(in.Value)))
	for b.Loop() {
		if _, err := task.Process(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckOfJSON(b *testing.B) {
	data := []byte(testid)
	b.ReportAllocs()
	for b.Loop() {
		if err := (codec.JSON[hello]{}).Check(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMaterializeBytes(b *testing.B) {
	from := topology.Topic[string, []byte]{Name: "hello-log-store", Key: codec.String{}, Value: codec.Bytes{}}
	topo := build(b, func(b *topology.Builder) { topology.Materialize(b, from, topology.Store[string, []byte]{Name: "raw"}) })
	benchmark(b, topo, rows{})
}
