package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

func Test(t *testing.T) {
	topo, err := build()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, topo, 4)
	for _, change := range [][2]string{ // as Debezium writes them
		{`{"id":1}`, `{"before":null,"after":{"id":1,"name":"ann"},"op":"c","ts_ms":1764057600000}`},
		{`{"id":2}`, `{"before":null,"after":{"id":2,"name":"bob"},"op":"r","ts_ms":1764057600000}`},
		{`{"id":3}`, `{"before":null,"after":{"id":3,"name":"eve"},"op":"r","ts_ms":1764057600000}`},
		{`{"id":1}`, `{"before":{"id":1,"name":"ann"},"after":{"id":1,"name":"Ann"},"op":"u","ts_ms":1764057600001}`},
		{`{"id":2}`, `{"before":{"id":2,"name":"bob"},"after":null,"op":"d","ts_ms":1764057600002}`},
		{`{"id":2}`, ""},
		{`{"id":3}`, ""}, // compaction has left only the tombstone
	} {
		r := topology.Raw{Key: []byte(change[0]), Position: topology.Position{Topic: changes.Name, Partition: topology.Partition([]byte(change[0]), 4)}}
		if change[1] != "" {
			r.Value = []byte(change[1])
		}
		d.SendRaw(r)
	}
	d.Restart()
	want := map[Key]*Customer{{1}: {"Ann"}}
	if diff := cmp.Diff(want, topologytest.Rows(d, customers)); diff != "" {
		t.Error(diff)
	}
}

// Of every three customers of the demo one is deleted.
func TestSample(t *testing.T) {
	topo, err := build()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, topo, 4)
	for i := range 90 {
		r, err := sample(i)
		if err != nil {
			t.Fatal(err)
		}
		r.Partition = topology.Partition(r.Key, 4)
		d.SendRaw(r)
	}
	if rows := topologytest.Rows(d, customers); len(rows) != 20 {
		t.Errorf("%d customers, want 20", len(rows))
	}
}
