package topology_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

type place struct{ X, Y int }

// texts is a topology with a topic of each kind.
func texts(t testing.TB) *topology.Topology {
	return build(t, func(b *topology.Builder) {
		topology.Count(topology.Consume(b, journal), counts)
		topology.Count(topology.Consume(b, topology.Topic[int64, string]{Name: "int-string", Key: codec.Int64{}, Value: codec.String{}}),
			topology.Store[int64, int64]{Name: "int-int"})
		topology.Count(topology.Consume(b, topology.Topic[place, *hello]{Name: "json-pointer", Key: codec.JSON[place]{}, Value: codec.JSON[*hello]{}}),
			topology.Store[place, int64]{Name: "json-int"})
		topology.Materialize(b, topology.Topic[[]byte, []byte]{Name: "bytes-bytes", Key: codec.Bytes{}, Value: codec.Bytes{}},
			topology.Store[[]byte, []byte]{Name: "bytes-rows"})
		topology.Materialize(b, topology.Topic[string, string]{Name: "text-text", Key: codec.JSON[string]{}, Value: codec.JSON[string]{}},
			topology.Store[string, string]{Name: "text-rows"})
		topology.Materialize(b, topology.Topic[time.Time, float64]{Name: "time-float", Key: codec.Time{}, Value: codec.Float64{}},
			topology.Store[time.Time, float64]{Name: "time-rows"})
		topology.Materialize(b, topology.Topic[float64, bool]{Name: "float-bool", Key: codec.Float64{}, Value: codec.Bool{}},
			topology.Store[float64, bool]{Name: "float-rows"})
		topology.Materialize(b, topology.Topic[bool, time.Time]{Name: "bool-time", Key: codec.Bool{}, Value: codec.Time{}},
			topology.Store[bool, time.Time]{Name: "bool-rows"})
	})
}

func TestTextOfRecords(t *testing.T) {
	topo := texts(t)
	for _, test := range []struct {
		name, key, value string // as given
		keyData, data    string // on Kafka
		printed          string // as Format prints it; "" for as given
		printedKey       string
	}{
		{name: "hello-log-store", key: "testid-01", value: testid, keyData: "testid-01", data: testid},
		{
			name: "hello-log-store", key: `"q"`, value: `{"state":"A", "mood":1}`, keyData: `"q"`,
			data: `{"state":"A", "mood":1}`, printed: `{"state":"A","mood":1}`,
		},
		{name: "hello-counts", key: "a", value: "258", keyData: "a", data: "\x00\x00\x00\x00\x00\x00\x01\x02"},
		{name: "int-string", key: "-1", value: `"a \"b\""`, keyData: "\xff\xff\xff\xff\xff\xff\xff\xff", data: `a "b"`},
		{name: "int-string", key: "1", value: "plain", keyData: "\x00\x00\x00\x00\x00\x00\x00\x01", data: "plain", printed: `"plain"`},
		{name: "int-string", key: "1", value: `{"a": 1}`, keyData: "\x00\x00\x00\x00\x00\x00\x00\x01", data: `{"a": 1}`, printed: `"{\"a\": 1}"`},
		{name: "int-string", key: "1", value: `null`, keyData: "\x00\x00\x00\x00\x00\x00\x00\x01", data: `null`, printed: `"null"`},
		{
			name: "json-pointer", key: `{"X":1, "Y":2}`, value: `{"state":"A","helloCount":1,"helloTotalCount":1}`, keyData: `{"X":1,"Y":2}`,
			data: `{"state":"A","helloCount":1,"helloTotalCount":1}`, printedKey: `{"X":1,"Y":2}`,
		},
		{name: "bytes-bytes", key: "\x00\xff", value: `{"a":[1,2]}`, keyData: "\x00\xff", data: `{"a":[1,2]}`},
		{name: "bytes-rows", key: "k", value: `"plain"`, keyData: "k", data: `plain`},
		{name: "bytes-rows", key: "k", value: `"\"quoted\""`, keyData: "k", data: `"quoted"`},
		{name: "bytes-rows", key: "k\xfb", value: `"a\udcfb\n"`, keyData: "k\xfb", data: "a\xfb\n"},
		{name: "bytes-rows", key: "k", value: `"{\"a\": 1}"`, keyData: "k", data: `{"a": 1}`},
		{name: "bytes-rows", key: "k", value: `"null"`, keyData: "k", data: `null`},
		{name: "int-string", key: "1", value: `"a\udcfb"`, keyData: "\x00\x00\x00\x00\x00\x00\x00\x01", data: "a\xfb"},
		{name: "text-text", key: "plain", value: `"v"`, keyData: `"plain"`, data: `"v"`},
		{name: "text-text", key: `"\"quoted\""`, value: `"v"`, keyData: `"\"quoted\""`, data: `"v"`},
		{name: "text-text", key: `"plain"`, value: `"v"`, keyData: `"plain"`, data: `"v"`, printedKey: "plain"},
		{name: "time-float", key: "1970-01-01T00:00:01.5Z", value: "1.5", keyData: "\x00\x00\x00\x00\x00\x00\x05\xdc", data: "\x3f\xf8\x00\x00\x00\x00\x00\x00"},
		{
			name: "time-float", key: `"1970-01-01T01:00:01+01:00"`, value: ` "NaN" `, keyData: "\x00\x00\x00\x00\x00\x00\x03\xe8",
			data: "\x7f\xf8\x00\x00\x00\x00\x00\x00", printedKey: "1970-01-01T00:00:01Z", printed: `"NaN"`,
		},
		{
			name: "time-float", key: "1000", value: `"-Infinity"`, keyData: "\x00\x00\x00\x00\x00\x00\x03\xe8",
			data: "\xff\xf0\x00\x00\x00\x00\x00\x00", printedKey: "1970-01-01T00:00:01Z",
		},
		{name: "float-bool", key: "-0.25", value: "true", keyData: "\xbf\xd0\x00\x00\x00\x00\x00\x00", data: "\x01"},
		{name: "float-bool", key: "Infinity", value: "false", keyData: "\x7f\xf0\x00\x00\x00\x00\x00\x00", data: "\x00"},
		{name: "bool-time", key: "true", value: `"1969-12-31T23:59:59.999Z"`, keyData: "\x01", data: "\xff\xff\xff\xff\xff\xff\xff\xff"},
		{name: "bool-time", key: "false", value: "9223372036854775807", keyData: "\x00", data: "\x7f\xff\xff\xff\xff\xff\xff\xff"},
	} {
		r, err := topo.Parse(test.name, test.key, []byte(test.value))
		if err != nil {
			t.Errorf("Parse(%q, %q, %s): %v", test.name, test.key, test.value, err)
			continue
		}
		if r.Topic != test.name || string(r.Key) != test.keyData || string(r.Value) != test.data {
			t.Errorf("Parse(%q, %q, %s) = %q %q %q, want %q %q", test.name, test.key, test.value, r.Topic, r.Key, r.Value, test.keyData, test.data)
		}
		key, value, err := topo.Format(r)
		if want := or(test.printedKey, test.key); err != nil || key != want {
			t.Errorf("Format(%q) = key %q, %v, want %q", r.Key, key, err, want)
		}
		if want := or(test.printed, test.value); string(value) != want {
			t.Errorf("Format(%q) = value %s, want %s", r.Value, value, want)
		}
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func TestTextOfTombstones(t *testing.T) {
	topo := texts(t)
	for _, name := range append(topo.Topics(), topo.Stores()...) {
		key := `"k"`
		switch name {
		case "int-string", "int-int":
			key = "7"
		case "json-pointer", "json-int":
			key = `{"X":1,"Y":2}`
		case "text-text", "text-rows":
			key = "k"
		case "time-float", "time-rows":
			key = "2024-01-02T03:04:05Z"
		case "float-bool", "float-rows":
			key = "0.5"
		case "bool-time", "bool-rows":
			key = "true"
		}
		r, err := topo.Parse(name, key, nil)
		if err != nil || r.Value != nil {
			t.Errorf("Parse(%q, %q, nil) = %q, %v", name, key, r.Value, err)
		}
		printed, value, err := topo.Format(r)
		if err != nil || printed != key || value != nil {
			t.Errorf("Format of a tombstone of %q = %q, %q, %v", name, printed, value, err)
		}
	}
	if r, err := topo.Parse("json-pointer", `{}`, []byte("null")); err != nil || r.Value != nil {
		t.Errorf("null for a pointer = %q, %v", r.Value, err)
	}
}

func TestFormatReadsChangelogs(t *testing.T) {
	r := topology.Raw{Key: []byte("a"), Value: []byte("\x00\x00\x00\x00\x00\x00\x00\x07"), Position: topology.Position{Topic: "hello-hello-counts-table"}}
	if key, value, err := texts(t).Format(r); key != "a" || string(value) != "7" || err != nil {
		t.Errorf("got %q, %s, %v", key, value, err)
	}
}

func TestTextErrors(t *testing.T) {
	topo := texts(t)
	for _, test := range []struct{ name, key, value, want string }{
		{"hello-log-store", "a", `{"state":`, `topic "hello-log-store": value {"state":: unexpected end of JSON input`},
		{"hello-log-store", "a", "null", `topic "hello-log-store": value null: null: a tombstone is a record without a value`},
		{"hello-log-store", "a", `{"helloCount":"x"}`, `topic "hello-log-store": value {"helloCount":"x"}: json: cannot unmarshal string into Go struct field hello.helloCount of type int64`},
		{"hello-counts", "a", "1.5", `store "hello-counts": value 1.5: json: cannot unmarshal number 1.5 into Go value of type int64`},
		{"int-string", "one", `"x"`, `topic "int-string": key "one": invalid character 'o' looking for beginning of value`},
		{"int-string", "null", `"x"`, `topic "int-string": key "null": null: a tombstone is a record without a value`},
		{"time-float", "2024-13-01T00:00:00Z", "1", `topic "time-float": key "2024-13-01T00:00:00Z": parsing time "2024-13-01T00:00:00Z": month out of range`},
		{"time-float", "null", "1", `topic "time-float": key "null": null: a tombstone is a record without a value`},
		{"time-float", "0", `"nan"`, `topic "time-float": value "nan": json: cannot unmarshal string into Go value of type float64`},
		{"float-bool", "0", "1", `topic "float-bool": value 1: json: cannot unmarshal number into Go value of type bool`},
		{"bool-time", "true", "tomorrow", `topic "bool-time": value tomorrow: invalid character 'o' in literal true (expecting 'r')`},
		{"nothing", "a", "1", `"nothing": application "hello" has no such topic or store, it has "bool-time", "bytes-bytes", "float-bool", "hello-log-store", "int-string", "json-pointer", "text-text", "time-float", "bool-rows", "bytes-rows", "float-rows", "hello-counts", "int-int", "json-int", "text-rows", "time-rows"`},
	} {
		if _, err := topo.Parse(test.name, test.key, []byte(test.value)); err == nil || err.Error() != test.want {
			t.Errorf("Parse(%q, %q, %s): error\n%v\nwant\n%s", test.name, test.key, test.value, err, test.want)
		}
	}
	for _, test := range []struct{ name, key, value, want string }{
		{"hello-log-store", "a", `{`, `topic "hello-log-store": decode value: unexpected end of JSON input`},
		{"hello-counts", "a", "7", `store "hello-counts": decode value: 1 bytes "7", not the 8 of an integer`},
		{"int-int", "a", "7", `store "int-int": decode key: 1 bytes "a", not the 8 of an integer`},
		{"time-float", "a", "7", `topic "time-float": decode key: 1 bytes "a", not the 8 of a time`},
		{"bool-time", "\x02", "7", `topic "bool-time": decode key: byte 2, not the 0 or 1 of a bool`},
	} {
		r := topology.Raw{Key: []byte(test.key), Value: []byte(test.value), Position: topology.Position{Topic: test.name}}
		if _, _, err := topo.Format(r); err == nil || err.Error() != test.want {
			t.Errorf("Format(%q %q %q): error\n%v\nwant\n%s", test.name, test.key, test.value, err, test.want)
		}
	}
}

// What Format prints, Parse reads back to the same. What is not UTF-8 is printed
// with replacement characters.
func FuzzText(f *testing.F) {
	topo := texts(f)
	for _, s := range []string{"", "a", `"a"`, `"`, `{"X":1,"Y":2}`, "null", "12345678", "\xff", ` "x" `, `"\ud800"`} {
		f.Add(s, []byte(s))
	}
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		for _, name := range []string{"int-string", "bytes-rows", "text-text", "hello-counts", "time-float", "float-bool", "bool-time"} {
			in := topology.Raw{Key: []byte(key), Value: value, Position: topology.Position{Topic: name}}
			printedKey, printed, err := topo.Format(in)
			if err != nil {
				continue
			}
			out, err := topo.Parse(name, printedKey, printed)
			if err != nil {
				t.Fatalf("%s %q %q was printed as %q %s: %v", name, key, value, printedKey, printed, err)
			}
			againKey, again, err := topo.Format(out)
			if err != nil || againKey != printedKey || !cmp.Equal(asJSON(t, again), asJSON(t, printed)) {
				t.Fatalf("%s %q %q was printed as %q %s, then as %q %s, %v", name, key, value, printedKey, printed, againKey, again, err)
			}
		}
	})
}

func asJSON(t *testing.T, data []byte) (v any) {
	t.Helper()
	if data == nil {
		return nil
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return v
}

// What a type does not know is kept if the value stays JSON, with a word, and
// refused where it would be lost.
func TestUnknownField(t *testing.T) {
	topo := texts(t)
	for _, value := range []string{`{"state":"A"}`, `{}`} {
		if err := topo.UnknownField("hello-log-store", []byte(value)); err != nil {
			t.Errorf("%s: %v", value, err)
		}
	}
	if err := topo.UnknownField("hello-log-store", []byte(`{"mood":1}`)); err == nil || err.Error() != `unknown field "mood"` {
		t.Errorf("got %v", err)
	}
	if r, err := topo.Parse("json-pointer", `{"X":1,"Z":2}`, nil); err == nil {
		t.Errorf("a key with a field that is not known became %s", r.Key)
	}
}
