package protobuf_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/codec/protobuf"
	"github.com/tidemark-dev/tidemark/topology"
)

func Example() {
	b := topology.NewBuilder("shop")
	topology.Materialize(b, topology.Topic[string, *structpb.Struct]{
		Name: "orders", Key: codec.String{}, Value: protobuf.Codec[*structpb.Struct]{},
	}, topology.Store[string, *structpb.Struct]{Name: "open-orders"})
	topo, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}

	r, err := topo.Parse("orders", "o-1", []byte(`{"item": "tea", "pieces": 2}`))
	fmt.Printf("%q %v\n", r.Value, err)
	key, value, err := topo.Format(r)
	fmt.Printf("%s %s %v\n", key, value, err)
	// Output:
	// "\n\r\n\x04item\x12\x05\x1a\x03tea\n\x13\n\x06pieces\x12\t\x11\x00\x00\x00\x00\x00\x00\x00@" <nil>
	// o-1 {"item":"tea","pieces":2} <nil>
}

// texts is a topology with a topic for each type of message.
func texts(t *testing.T) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder("texts")
	topology.Materialize(b, topic[*timestamppb.Timestamp, *timestamppb.Timestamp]("times"), store[*timestamppb.Timestamp, *timestamppb.Timestamp]("time-rows"))
	topology.Materialize(b, topic[*wrapperspb.StringValue, *structpb.Value]("any"), store[*wrapperspb.StringValue, *structpb.Value]("any-rows"))
	topology.Materialize(b, topic[*structpb.Struct, *wrapperspb.DoubleValue]("numbers"), store[*structpb.Struct, *wrapperspb.DoubleValue]("number-rows"))
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func topic[K, V proto.Message](name string) topology.Topic[K, V] {
	return topology.Topic[K, V]{Name: name, Key: protobuf.Codec[K]{}, Value: protobuf.Codec[V]{}}
}

func store[K, V proto.Message](name string) topology.Store[K, V] {
	return topology.Store[K, V]{Name: name}
}

func TestTextIsProtojson(t *testing.T) {
	topo := texts(t)
	for _, test := range []struct{ topic, key, value, keyData, data string }{
		{"times", "1970-01-01T00:00:01Z", `"1970-01-01T00:00:02Z"`, "\x08\x01", "\x08\x02"},
		{"times", "1970-01-01T00:00:00Z", `"1970-01-01T00:00:00Z"`, "", ""},
		{"any", "plain", `null`, "\x0a\x05plain", "\x08\x00"},
		{"any", `"7"`, `{"a":[1,true,null]}`, "\x0a\x017", "\x2a\x1c\x0a\x1a\x0a\x01a\x12\x15\x32\x13\x0a\x09\x11\x00\x00\x00\x00\x00\x00\xf0\x3f\x0a\x02\x20\x01\x0a\x02\x08\x00"},
		{"any", `"null"`, `"text"`, "\x0a\x04null", "\x1a\x04text"},
		{"any", "", `""`, "", "\x1a\x00"},
		{"numbers", `{"a":"b"}`, `"-Infinity"`, "\x0a\x08\x0a\x01a\x12\x03\x1a\x01b", "\x09\x00\x00\x00\x00\x00\x00\xf0\xff"},
		{"numbers", `{}`, `0.5`, "", "\x09\x00\x00\x00\x00\x00\x00\xe0\x3f"},
	} {
		r, err := topo.Parse(test.topic, test.key, []byte(test.value))
		if err != nil || r.Key == nil || r.Value == nil {
			t.Errorf("Parse(%q, %s) = %v, %v", test.key, test.value, r, err)
			continue
		}
		if string(r.Key) != test.keyData || string(r.Value) != test.data {
			t.Errorf("Parse(%q, %s) = %q %q, want %q %q", test.key, test.value, r.Key, r.Value, test.keyData, test.data)
		}
		key, value, err := topo.Format(r)
		if err != nil || key != test.key || string(value) != test.value {
			t.Errorf("Format(%q %q) = %q %s, %v, want %q %s", r.Key, r.Value, key, value, err, test.key, test.value)
		}
	}
}

func TestNullTextIsATombstone(t *testing.T) {
	topo := texts(t)
	if r, err := topo.Parse("times", "1970-01-01T00:00:01Z", []byte(" null ")); err != nil || r.Value != nil {
		t.Errorf("got %q, %v", r.Value, err)
	}
	if r, err := topo.Parse("times", "null", nil); err == nil || err.Error() != `topic "times": key "null": a key can't be null` {
		t.Errorf("got %q, %v", r.Key, err)
	}
}

func TestTextErrors(t *testing.T) {
	topo := texts(t)
	for _, test := range []struct{ topic, key, value, want string }{
		{"times", "yesterday", "0", `topic "times": key "yesterday": proto:`},
		{"numbers", "{}", `{"a":1}`, `topic "numbers": value {"a":1}: proto:`},
	} {
		if r, err := topo.Parse(test.topic, test.key, []byte(test.value)); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("Parse(%q, %s) = %v, %v, want %q", test.key, test.value, r, err, test.want)
		}
	}
	r := topology.Raw{Key: []byte("\x08\x01"), Value: []byte("\x08"), Position: topology.Position{Topic: "times"}}
	if _, _, err := topo.Format(r); err == nil || !strings.HasPrefix(err.Error(), `topic "times": decode value: google.protobuf.Timestamp: `) {
		t.Errorf("got %v", err)
	}
}
