package protobuf_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/codec/protobuf"
)

var (
	_ codec.Codec[*structpb.Struct] = protobuf.Codec[*structpb.Struct]{}
	_ codec.Checker                 = protobuf.Codec[*structpb.Struct]{}
	_ codec.Texter                  = protobuf.Codec[*structpb.Struct]{}
)

func TestWireFormat(t *testing.T) {
	roundTrip(t, wrapperspb.String("ab"), "\x0a\x02ab")
	roundTrip(t, wrapperspb.Int64(-1), "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	roundTrip(t, &timestamppb.Timestamp{Seconds: 1, Nanos: 300}, "\x08\x01\x10\xac\x02")
	roundTrip(t, &emptypb.Empty{}, "")
}

func roundTrip[M proto.Message](t *testing.T, m M, want string) {
	t.Helper()
	data, err := protobuf.Codec[M]{}.Encode(m)
	if err != nil || data == nil || string(data) != want {
		t.Errorf("Encode(%v) = %q, %v, want %q", m, data, err, want)
	}
	back, err := protobuf.Codec[M]{}.Decode(data)
	if err != nil || !proto.Equal(back, m) {
		t.Errorf("Decode(%q) = %v, %v, want %v", data, back, err, m)
	}
}

func TestEqualMessagesAreEqualBytes(t *testing.T) {
	encoded := map[string]bool{}
	for range 20 {
		m := &structpb.Struct{Fields: map[string]*structpb.Value{}}
		for i := range 20 {
			m.Fields[fmt.Sprint(i)] = structpb.NewNumberValue(float64(i))
		}
		data, err := protobuf.Codec[*structpb.Struct]{}.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		encoded[string(data)] = true
	}
	if len(encoded) != 1 {
		t.Errorf("one message was encoded in %d ways", len(encoded))
	}
}

func TestUnknownFieldsSurvive(t *testing.T) {
	c := protobuf.Codec[*wrapperspb.StringValue]{}
	m, err := c.Decode([]byte("\x0a\x03old\x10\x07")) // the second field is a newer writer's
	if err != nil {
		t.Fatal(err)
	}
	m.Value = "new"
	if data, err := c.Encode(m); err != nil || string(data) != "\x0a\x03new\x10\x07" {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestDecodeKeepsNoReference(t *testing.T) {
	data := []byte("\x0a\x03abc")
	m, err := protobuf.Codec[*wrapperspb.BytesValue]{}.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	data[2] = 'x'
	if string(m.Value) != "abc" {
		t.Errorf("got %q, want abc", m.Value)
	}
}

func TestRefused(t *testing.T) {
	times := protobuf.Codec[*timestamppb.Timestamp]{}
	for data, want := range map[string]string{
		"\x08":                     "google.protobuf.Timestamp: ",
		"\x08\x01\x0c":             "google.protobuf.Timestamp: ",
		"\x00\x00\x00\x00\x01\x00": ": does it begin with the header of a schema registry?",
	} {
		if m, err := times.Decode([]byte(data)); m != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Decode(%q) = %v, %v, want %q", data, m, err, want)
		}
		if err := times.Check([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check(%q) = %v, want %q", data, err, want)
		}
	}
	if data, err := times.Encode(nil); err == nil {
		t.Errorf("nil was encoded as %q", data)
	}
	part := &descriptorpb.UninterpretedOption_NamePart{NamePart: proto.String("a")} // without what is required
	if data, err := (protobuf.Codec[*descriptorpb.UninterpretedOption_NamePart]{}).Encode(part); err == nil {
		t.Errorf("encoded as %q", data)
	}
	if m, err := (protobuf.Codec[*descriptorpb.UninterpretedOption_NamePart]{}).Decode([]byte("\x0a\x01a")); m != nil || err == nil {
		t.Errorf("decoded to %v", m)
	}
}

func TestAnInterfaceIsNoMessage(t *testing.T) {
	const want = "protobuf.Codec[google.golang.org/protobuf/reflect/protoreflect.ProtoMessage] can't tell which message to decode: name the pointer type of a generated message"
	if _, err := (protobuf.Codec[proto.Message]{}).Decode(nil); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if data, err := (protobuf.Codec[proto.Message]{}).Encode(nil); err == nil {
		t.Errorf("nil was encoded as %q", data)
	}
}

// What a codec decodes it must not refuse by Check, and what it encodes it
// decodes to the same.
func FuzzCodec(f *testing.F) {
	for _, s := range []string{"", "\x08\x01\x10\xac\x02", "\x0a\x02ab", "\x0b\x08\x01\x0c", "\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		f.Add([]byte(s))
	}
	nested, _ := structpb.NewStruct(map[string]any{"a": []any{1.5, nil, map[string]any{"b": "c"}}, "d": true})
	data, _ := proto.Marshal(nested)
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		agree[*structpb.Struct](t, data)
		agree[*structpb.Value](t, data)
		agree[*timestamppb.Timestamp](t, data)
		agree[*wrapperspb.BytesValue](t, data)
		agree[*descriptorpb.FileDescriptorProto](t, data)
		agree[*descriptorpb.UninterpretedOption](t, data)
	})
}

func agree[M proto.Message](t *testing.T, data []byte) {
	t.Helper()
	c := protobuf.Codec[M]{}
	m, err := c.Decode(data)
	if err != nil {
		return
	}
	if err := c.Check(data); err != nil {
		t.Errorf("%T decodes %q, and Check says: %v", c, data, err)
	}
	first, err := c.Encode(m)
	if err != nil {
		t.Fatalf("%T decodes %q to %v, and Encode says: %v", c, data, m, err)
	}
	back, err := c.Decode(first)
	if err != nil || !proto.Equal(back, m) {
		t.Errorf("%T encodes %v to %q, which decodes to %v, %v", c, m, first, back, err)
	}
	if again, err := c.Encode(back); err != nil || !bytes.Equal(again, first) {
		t.Errorf("%T encodes %v to %q and then %q, %v", c, m, first, again, err)
	}
	text, err := c.FormatText(first)
	if err != nil {
		return // protojson has no text for it
	}
	parsed, err := c.ParseText(text)
	if err != nil {
		t.Fatalf("%T writes %q as %s, and ParseText says: %v", c, first, text, err)
	}
	if again, err := c.FormatText(parsed); err != nil || compact(t, again) != compact(t, text) {
		t.Errorf("%T writes %q as %s and then %s, %v", c, first, text, again, err)
	}
}

// compact takes out the spaces that protojson puts in by chance.
func compact(t *testing.T, text []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return b.String()
}
