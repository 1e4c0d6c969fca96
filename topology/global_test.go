package topology_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

func TestGlobalRow(t *testing.T) {
	from := topology.Topic[string, *hello]{Name: "from", Key: codec.String{}, Value: codec.JSON[*hello]{}}
	from.Policies.Decode = topology.Skip
	b := topology.NewBuilder("app")
	topology.Broadcast(b, from, topology.Store[string, *hello]{Name: "all"})
	topology.Publish(topology.Consume(b, from), topology.Topic[string, *hello]{Name: "to"})
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	globals := topo.Globals()
	if len(globals) != 1 || globals[0].Store != "all" || globals[0].Topic != "from" {
		t.Fatalf("globals are %+v, though no step looks at it", globals)
	}
	at := time.UnixMilli(7)
	row := func(value string) topology.Row {
		r := topology.Row{Store: "all", Key: []byte("k"), Time: 7}
		if value != "" {
			r.Value = []byte(value)
		}
		return r
	}
	for _, test := range []struct {
		name string
		raw  topology.Raw
		row  topology.Row
		ok   bool
	}{
		{"row", topology.Raw{Key: []byte("k"), Value: []byte(`{"n":1}`), Time: at}, row(`{"n":1}`), true},
		{"tombstone", topology.Raw{Key: []byte("k"), Time: at}, row(""), true},
		{"a value that is none", topology.Raw{Key: []byte("k"), Value: []byte(`null`), Time: at}, row(""), true},
		{"no key", topology.Raw{Value: []byte(`{"n":1}`), Time: at}, topology.Row{}, false},
	} {
		got, ok, err := globals[0].Row(test.raw, topology.Policies{})
		if err != nil || ok != test.ok {
			t.Errorf("%s: %v, %v", test.name, ok, err)
		}
		if diff := cmp.Diff(test.row, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	_, ok, err := globals[0].Row(topology.Raw{Key: []byte("k"), Value: []byte(`{`), Position: topology.Position{Topic: "from", Offset: 3}}, topology.Policies{})
	refused, _ := errors.AsType[*topology.RecordError](err)
	if ok || refused == nil || refused.Offset != 3 || refused.Node != "global table all" || refused.Policy != topology.Skip {
		t.Errorf("a spoilt value: %v, %#v", ok, err)
	}
}
