// Package protobuf stores keys and values as protocol buffers. Only a program
// that imports it links google.golang.org/protobuf.
package protobuf

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Codec stores a message in the wire format. M is the pointer type of a
// generated message:
//
//	topology.Topic[string, *pb.Order]{Name: "orders", Key: codec.String{}, Value: protobuf.Codec[*pb.Order]{}}
//
// Fields that M does not know are kept and written again. The bytes are the
// message's alone, without the header of a schema registry.
type Codec[M proto.Message] struct{}

// Encode writes equal messages as equal bytes, so that a message can be a key.
// That holds for one version of google.golang.org/protobuf; a program in another
// language, or a later version, may order the entries of a map otherwise. A nil
// message is refused: what is missing is a record without a value.
func (Codec[M]) Encode(m M) ([]byte, error) {
	if any(m) == nil || !m.ProtoReflect().IsValid() {
		return nil, errNil
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return data, nil
}

var errNil = errors.New("nil message: a tombstone is a record without a value")

// Decode returns a message of its own. No bytes are a message without fields.
func (Codec[M]) Decode(data []byte) (m M, err error) {
	t, err := messageType[M]()
	if err != nil {
		return m, err
	}
	decoded := t.New().Interface()
	if err := proto.Unmarshal(data, decoded); err != nil {
		return m, wireError(t, data, err)
	}
	return decoded.(M), nil
}

// Check accepts what has the form of a message, of whatever type.
func (Codec[M]) Check(data []byte) error {
	for rest := data; len(rest) > 0; {
		_, _, n := protowire.ConsumeField(rest)
		if n < 0 {
			t, err := messageType[M]()
			if err != nil {
				return err
			}
			return wireError(t, data, protowire.ParseError(n))
		}
		rest = rest[n:]
	}
	return nil
}

// FormatText writes a message as protojson does. Fields that M does not know are
// left out; what protojson has no text for, such as a Timestamp of the year
// 10000 or an Any of a type that the program does not link, is an error.
func (c Codec[M]) FormatText(data []byte) ([]byte, error) {
	m, err := c.Decode(data)
	if err != nil {
		return nil, err
	}
	return protojson.Marshal(m)
}

// ParseText reads protojson and refuses a field that M does not know. The text
// null is a missing value, but for a google.protobuf.Value, which can be null.
func (c Codec[M]) ParseText(text []byte) ([]byte, error) {
	t, err := messageType[M]()
	if err != nil {
		return nil, err
	}
	if string(bytes.TrimSpace(text)) == "null" && t.Descriptor().FullName() != "google.protobuf.Value" {
		return nil, nil
	}
	m := t.New().Interface()
	if err := protojson.Unmarshal(text, m); err != nil {
		return nil, err
	}
	return c.Encode(m.(M))
}

func messageType[M proto.Message]() (protoreflect.MessageType, error) {
	var m M
	if any(m) == nil {
		return nil, fmt.Errorf("%T can't tell which message to decode: name the pointer type of a generated message", Codec[M]{})
	}
	return m.ProtoReflect().Type(), nil
}

// wireError names the message that data is not.
func wireError(t protoreflect.MessageType, data []byte, err error) error {
	name := t.Descriptor().FullName()
	if len(data) > 0 && data[0] == 0 { // no field has the number 0
		return fmt.Errorf("%s: %w: does it begin with the header of a schema registry?", name, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}
