package codec_test

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
)

type state struct {
	State string `json:"state"`
	Count int64  `json:"helloCount"`
	Inner *state `json:"inner,omitempty"`
}

// loose is decoded by a method of its own, from anything.
type loose struct{ text string }

func (l *loose) UnmarshalJSON(data []byte) error { l.text = string(data); return nil }

type (
	name  string
	octet byte
	flags []octet
	loop  *loop
)

func TestJSONDecode(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       state
		err        string
	}{
		{name: "as written", data: `{"state":"HAPPY","helloCount":10}`, want: state{State: "HAPPY", Count: 10}},
		{name: "unknown field", data: `{"state":"HAPPY","mood":{"x":[1]}}`, want: state{State: "HAPPY"}},
		{name: "missing fields", data: ` {} `},
		{name: "null field", data: `{"state":null}`},
		{name: "null", data: "null", err: "null: a tombstone is a record without a value"},
		{name: "null with space", data: " null\n", err: "null: a tombstone is a record without a value"},
		{name: "nothing", data: "", err: "unexpected end of JSON input"},
		{name: "cut short", data: `{"state":"HAP`, err: "unexpected end of JSON input"},
		{name: "trailing garbage", data: `{} {}`, err: "invalid character '{' after top-level value"},
		{name: "other kind", data: `[1]`, err: "cannot unmarshal array"},
		{name: "decoded in part", data: `{"state":"HAPPY","helloCount":"ten"}`, err: "cannot unmarshal string"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := codec.JSON[state]{}.Decode([]byte(test.data))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
			if text := errorText(err); (text == "") != (test.err == "") || !strings.Contains(text, test.err) {
				t.Errorf("error %q, want %q", text, test.err)
			}
		})
	}
}

func TestJSONDecodesNullToNil(t *testing.T) {
	if v, err := (codec.JSON[*state]{}).Decode([]byte("null")); v != nil || err != nil {
		t.Errorf("pointer: %v, %v", v, err)
	}
	if v, err := (codec.JSON[map[string]int]{}).Decode([]byte("null")); v != nil || err != nil {
		t.Errorf("map: %v, %v", v, err)
	}
	if v, err := (codec.JSON[[]int]{}).Decode([]byte("null")); v != nil || err != nil {
		t.Errorf("slice: %v, %v", v, err)
	}
	if v, err := (codec.JSON[any]{}).Decode([]byte("null")); v != nil || err != nil {
		t.Errorf("interface: %v, %v", v, err)
	}
}

// The method is the pointer's, as big.Int has it.
func TestJSONEncodesByTheMethodOfThePointer(t *testing.T) {
	data, err := codec.JSON[big.Int]{}.Encode(*big.NewInt(7))
	if err != nil || string(data) != "7" {
		t.Errorf("got %s, %v, want 7", data, err)
	}
}

func TestJSONCheckRefuses(t *testing.T) {
	for _, test := range []struct {
		codec.Checker
		data, err string
	}{
		{codec.JSON[state]{}, `{"state"`, "unexpected end of JSON input"},
		{codec.JSON[state]{}, `{} x`, "invalid character 'x' after top-level value"},
		{codec.JSON[state]{}, "", "unexpected end of JSON input"},
		{codec.JSON[state]{}, "null", "null: a tombstone is a record without a value"},
		{codec.JSON[state]{}, "[]", "an array, not an object"},
		{codec.JSON[*state]{}, `"x"`, "a string, not an object"},
		{codec.JSON[map[string]int]{}, "7", "a number, not an object"},
		{codec.JSON[[]int]{}, "{}", "an object, not an array"},
		{codec.JSON[[2]int]{}, "true", "a bool, not an array"},
		{codec.JSON[name]{}, "-1", "a number, not a string"},
		{codec.JSON[bool]{}, `"true"`, "a string, not a bool"},
		{codec.JSON[float64]{}, `"1"`, "a string, not a number"},
		{codec.JSON[loose]{}, "{", "unexpected end of JSON input"},
	} {
		if got := errorText(test.Check([]byte(test.data))); got != test.err {
			t.Errorf("%T: Check(%s) = %q, want %q", test.Checker, test.data, got, test.err)
		}
	}
}

// What a codec decodes it must not refuse by Check, whatever the type, and what
// it encodes it decodes to the same.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"state":"HAPPY","helloCount":10}`, `null`, ` [1,2] `, `"AQI="`, `7`, `-0.5e3`, `true`, `"x"`,
		`"2024-01-02T03:04:05Z"`, `{"a":{}}`, ``, `{} `, "\xff", `"\ud800"`, "\ufeff{}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		agree(t, data, codec.JSON[state]{})
		agree(t, data, codec.JSON[*state]{})
		agree(t, data, codec.JSON[map[string]any]{})
		agree(t, data, codec.JSON[[]int]{})
		agree(t, data, codec.JSON[[]byte]{})
		agree(t, data, codec.JSON[flags]{})
		agree(t, data, codec.JSON[[2]int]{})
		agree(t, data, codec.JSON[name]{})
		agree(t, data, codec.JSON[bool]{})
		agree(t, data, codec.JSON[int8]{})
		agree(t, data, codec.JSON[float64]{})
		agree(t, data, codec.JSON[any]{})
		agree(t, data, codec.JSON[loose]{})
		agree(t, data, codec.JSON[**loose]{})
		agree(t, data, codec.JSON[json.Number]{})
		agree(t, data, codec.JSON[json.RawMessage]{})
		agree(t, data, codec.JSON[time.Time]{})
		agree(t, data, codec.JSON[big.Int]{})
	})
}

func agree[T any](t *testing.T, data []byte, c codec.JSON[T]) {
	t.Helper()
	v, err := c.Decode(data)
	if err != nil {
		return
	}
	if err := c.Check(data); err != nil {
		t.Errorf("%T decodes %q to %v, and Check says: %v", c, data, v, err)
	}
	first, err := c.Encode(v)
	if err != nil {
		t.Fatalf("%T decodes %q to %v, and Encode says: %v", c, data, v, err)
	}
	back, err := c.Decode(first)
	if err != nil {
		t.Fatalf("%T encodes %v to %q, and Decode says: %v", c, v, first, err)
	}
	// Bytes are compared, since a type may hold text that means the same in two
	// spellings.
	if again, err := c.Encode(back); err != nil || string(again) != string(first) {
		t.Errorf("%T encodes %v to %q, which decodes to %v and encodes to %q, %v", c, v, first, back, again, err)
	}
}

func TestJSONOfATypeThatPointsToItself(t *testing.T) {
	if err := (codec.JSON[loop]{}).Check([]byte("7")); err != nil {
		t.Error(err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func BenchmarkJSONCheck(b *testing.B) {
	data := []byte(`{"state":"HAPPY","helloCount":10,"helloTotalCount":100}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := (codec.JSON[state]{}).Check(data); err != nil {
			b.Fatal(err)
		}
	}
}
