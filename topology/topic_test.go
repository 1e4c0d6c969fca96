package topology_test

import (
	"math"
	"testing"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

func TestTopicEncode(t *testing.T) {
	r, err := journal.Encode("testid-01", hello{"HAPPY", 10, 100})
	if err != nil || r.Topic != "hello-log-store" || string(r.Key) != "testid-01" || string(r.Value) != testid {
		t.Errorf("%+v, %v", r, err)
	}
	pointers := topology.Topic[string, *hello]{Name: "p", Key: codec.String{}, Value: codec.JSON[*hello]{}}
	if r, err := pointers.Encode("", nil); err != nil || r.Key == nil || r.Value != nil {
		t.Errorf("nil: %+v, %v", r, err)
	}
	raw := topology.Topic[[]byte, []byte]{Name: "p", Key: codec.Bytes{}, Value: codec.Bytes{}}
	if r, err := raw.Encode(nil, []byte{}); err != nil || r.Key != nil || r.Value == nil {
		t.Errorf("no key, no bytes: %+v, %v", r, err)
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{
			second(topology.Topic[string, float64]{Name: "f", Key: codec.String{}, Value: codec.JSON[float64]{}}.Encode("", math.NaN())),
			`topic "f": encode value: json: unsupported value: NaN`,
		},
		{
			second(topology.Topic[string, int64]{Name: "f", Value: codec.Int64{}}.Encode("", 1)),
			`topic "f": no codec for its keys of type string`,
		},
	} {
		if test.err == nil || test.err.Error() != test.want {
			t.Errorf("error %v, want %s", test.err, test.want)
		}
	}
}
