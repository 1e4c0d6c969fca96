package topology_test

import (
	"testing"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

func TestStoreInATopology(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		topology.Materialize(b, journal, hellos)
		topology.Publish(topology.Count(topology.Consume(b, journal), counts), topology.Topic[string, int64]{Name: "out"})
	})
	if s, err := hellos.In(topo); err != nil || s.Key != (codec.String{}) || s.Value != (codec.JSON[hello]{}) {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := counts.In(topo); err != nil || s.Key != (codec.String{}) || s.Value != (codec.Int64{}) {
		t.Errorf("%+v, %v", s, err)
	}
	if out, err := (topology.Topic[string, int64]{Name: "out"}).In(topo); err != nil || out.Key != (codec.String{}) || out.Value != (codec.Int64{}) {
		t.Errorf("%+v, %v", out, err)
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{
			second(topology.Store[string, hello]{Name: "x"}.In(topo)),
			`store "x": application "hello" has none of this name, it has "hello-counts", "hello-state-store"`,
		},
		{
			second(topology.Store[string, string]{Name: "hello-counts"}.In(topo)),
			`store "hello-counts": application "hello" has it as topology.Store[string,int64], not as topology.Store[string,string]`,
		},
		{
			second(topology.Topic[string, string]{Name: "hello-counts"}.In(topo)),
			`topic "hello-counts": application "hello" has none of this name, it has "hello-log-store", "out"`,
		},
	} {
		if test.err == nil || test.err.Error() != test.want {
			t.Errorf("error %v, want %s", test.err, test.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }
