package topology_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

// formats is a topology with a table of each kind, and the formats of its tables.
func formats(t testing.TB) map[string]*topology.Format {
	topo := build(t, func(b *topology.Builder) {
		clicks := topology.Consume(b, topology.Topic[string, string]{Name: "clicks", Key: codec.String{}, Value: codec.String{}})
		topology.Materialize(b, topology.Topic[string, hello]{Name: "states", Key: codec.String{}, Value: codec.JSON[hello]{}}, topology.Store[string, hello]{Name: "string-json"})
		topology.Count(clicks, topology.Store[string, int64]{Name: "string-int"})
		topology.ToTable(clicks, topology.Store[string, string]{Name: "string-string"})
		hours := topology.Window(clicks, topology.Tumbling{Size: time.Hour})
		topology.Count(hours, topology.Store[topology.Windowed[string], int64]{Name: "hourly"})
		topology.Count(topology.Window(clicks, topology.Session{Gap: time.Minute}), topology.Store[topology.Windowed[string], int64]{Name: "visits"})
		topology.Materialize(b, topology.Topic[place, time.Time]{Name: "places", Key: codec.JSON[place]{}, Value: codec.Time{}}, topology.Store[place, time.Time]{Name: "json-time"})
		topology.Materialize(b, topology.Topic[string, []byte]{Name: "texts", Key: codec.JSON[string]{}, Value: codec.Bytes{}}, topology.Store[string, []byte]{Name: "jsonstring-bytes"})
		topology.Materialize(b, topology.Topic[int64, float64]{Name: "numbers", Key: codec.Int64{}, Value: codec.Float64{}}, topology.Store[int64, float64]{Name: "int-float"})
		topology.Materialize(b, topology.Topic[float64, bool]{Name: "floats", Key: codec.Float64{}, Value: codec.Bool{}}, topology.Store[float64, bool]{Name: "float-bool"})
		topology.Materialize(b, topology.Topic[int32, int16]{Name: "integers", Key: codec.Int32{}, Value: codec.Int16{}}, topology.Store[int32, int16]{Name: "int32-int16"})
		topology.Materialize(b, topology.Topic[int16, float32]{Name: "shorts", Key: codec.Int16{}, Value: codec.Float32{}}, topology.Store[int16, float32]{Name: "int16-float32"})
		topology.Materialize(b, topology.Topic[string, *int32]{Name: "optionals", Key: codec.String{}, Value: codec.Optional[int32]{Of: codec.Int32{}}}, topology.Store[string, *int32]{Name: "string-optional"})
		topology.Materialize(b, topology.Topic[topology.Windowed[int64], int64]{Name: "others", Key: topology.WindowedCodec[int64]{Key: codec.Int64{}}, Value: codec.Int64{}},
			topology.Store[topology.Windowed[int64], int64]{Name: "windowedint-int"})
	})
	all := map[string]*topology.Format{}
	for _, g := range topo.Groups() {
		for _, s := range g.Stores {
			all[s.Name] = s.Format
		}
	}
	return all
}

func windowKey(t testing.TB, key string, start, end time.Time) string {
	data, err := topology.WindowedCodec[string]{Key: codec.String{}}.Encode(topology.Windowed[string]{Key: key, Start: start, End: end})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestFormat(t *testing.T) {
	eight := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	seven := func(b ...byte) string { return string(append(make([]byte, 8-len(b)), b...)) }
	all := formats(t)
	for _, c := range []struct{ store, key, value, keyText, valueText string }{
		{"string-json", "testid-01", `{"state": "HAPPY"}`, "testid-01", `{"state": "HAPPY"}`}, // as it lies there
		{"string-int", "a:b", seven(1, 2), "a:b", "258"},
		{"string-int", "", "\xff\xff\xff\xff\xff\xff\xff\xff", "", "-1"},
		{"string-string", "\xff", `say "x"`, "\xff", `say "x"`},
		{"hourly", windowKey(t, "customer-1", eight, eight.Add(time.Hour)), seven(3), "customer-1:2026-11-25T08:00:00Z", "3"},
		{"hourly", windowKey(t, "a:2026-11-25T08:00:00Z", eight, eight.Add(time.Hour)), seven(3), "a:2026-11-25T08:00:00Z:2026-11-25T08:00:00Z", "3"},
		{"hourly", windowKey(t, "a\x00/", eight, eight.Add(time.Minute)), seven(3), "a\x00/:2026-11-25T08:00:00Z/2026-11-25T08:01:00Z", "3"},
		{"hourly", windowKey(t, "{}", time.UnixMilli(1<<55), time.UnixMilli(1<<55+3_600_000)), seven(3), "{}:36028797018963968", "3"},
		{"visits", windowKey(t, "x/y", eight, eight.Add(1500*time.Millisecond)), seven(3), "x/y:2026-11-25T08:00:00Z/2026-11-25T08:00:01.5Z", "3"},
		{"json-time", `{"X":1, "Y":2}`, seven(3, 0xe8), `{"X":1, "Y":2}`, "1970-01-01T00:00:01Z"},
		{"jsonstring-bytes", `"plain"`, "\x00\xff", "plain", "\x00\xff"},
		{"int-float", "\xff\xff\xff\xff\xff\xff\xff\xff", "\x3f\xf8\x00\x00\x00\x00\x00\x00", "-1", "1.5"},
		{"int-float", seven(7), "\x7f\xf8\x00\x00\x00\x00\x00\x00", "7", "NaN"},
		{"int32-int16", "\xff\xff\xff\xfe", "\x01\x02", "-2", "258"},
		{"int16-float32", "\x01\x02", "\xbf\xc0\x00\x00", "258", "-1.5"},
		{"string-optional", "k", "\x00\x00\x01\x02", "k", "258"},
		{"float-bool", "\x3f\xf8\x00\x00\x00\x00\x00\x00", "\x01", "1.5", "true"},
	} {
		f := all[c.store]
		key, value := []byte("before "+c.key), []byte("before "+c.value)
		var err error
		if f.Key != nil {
			if key, err = f.Key([]byte("before "), []byte(c.key)); err != nil {
				t.Errorf("%s: key %q: %v", c.store, c.key, err)
			}
			if back, err := f.ParseKey([]byte(c.keyText)); err != nil || string(back) != c.key {
				t.Errorf("%s: parsed %q to %q, %v, want %q", c.store, c.keyText, back, err, c.key)
			}
		}
		if f.Value != nil {
			if value, err = f.Value([]byte("before "), []byte(c.value)); err != nil {
				t.Errorf("%s: value %q: %v", c.store, c.value, err)
			}
		}
		if got := string(key); got != "before "+c.keyText {
			t.Errorf("%s: key %q is written as %q, want %q", c.store, c.key, got, c.keyText)
		}
		if got := string(value); got != "before "+c.valueText {
			t.Errorf("%s: value %q is written as %q, want %q", c.store, c.value, got, c.valueText)
		}
	}
}

// What the bytes are already costs nothing.
func TestFormatOfText(t *testing.T) {
	all := formats(t)
	for _, store := range []string{"string-json", "string-string"} {
		if f := all[store]; f.Key != nil || f.ParseKey != nil || f.Value != nil {
			t.Errorf("%s: its bytes are text, and are written by %+v", store, f)
		}
	}
}

func TestFormatRefuses(t *testing.T) {
	all := formats(t)
	for _, c := range []struct{ store, key, want string }{
		{"jsonstring-bytes", `"a\u0062"`, `and so is the key "\"ab\""`},
		{"jsonstring-bytes", `ab`, "invalid character"},
		{"int-float", "7", "not the 8 of an integer"},
		{"hourly", "customer-1", "not a windowed key"},
		{"float-bool", "\x7f\xf8\x00\x00\x00\x00\x00\x07", "and so is the key"},
	} {
		if text, err := all[c.store].Key(nil, []byte(c.key)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: key %q is written as %q, %v, want an error with %q", c.store, c.key, text, err, c.want)
		}
	}
	for _, c := range []struct{ store, text string }{
		{"int-float", "07"},
		{"int-float", "x"},
		{"int-float", "1.0"},
		{"int-float", "\x00\x00\x00\x00\x00\x00\x00\x07"},
		{"hourly", "a"},
		{"hourly", "a:2026-11-25T08:00:00Z/2026-11-25T09:00:00Z"},
		{"hourly", "a:2026-11-25T08:00:00.0Z"},
		{"hourly", "a:5"},
		{"hourly", `{"key":"a","start":"2026-11-25T08:00:00Z","end":"2026-11-25T09:00:00Z"}`},
		{"visits", "a:2026-11-25T08:00:00Z"},
		{"jsonstring-bytes", `"plain"`},
		{"float-bool", "1.50"},
	} {
		if key, err := all[c.store].ParseKey([]byte(c.text)); err == nil {
			t.Errorf("%s: no key is written as %q, and it is read as %q", c.store, c.text, key)
		}
	}
}

// No two keys have one text, and each text is read back.
func FuzzFormat(f *testing.F) {
	all := formats(f)
	eight := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	f.Add([]byte(windowKey(f, "a", eight, eight.Add(time.Hour))))
	f.Add([]byte(windowKey(f, "a:2026-11-25T08:00:00Z/", eight, eight)))
	f.Add([]byte(windowKey(f, "", time.UnixMilli(-1<<62), time.UnixMilli(1<<62))))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x07"))
	f.Add([]byte("\x80\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte(`"a\u0000"`))
	f.Add([]byte("a:2026-11-25T08:00:00Z"))
	f.Add([]byte("a:5/7"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for store, format := range all {
			if format.Key == nil {
				continue
			}
			if text, err := format.Key(nil, data); err == nil {
				if back, err := format.ParseKey(text); err != nil || !bytes.Equal(back, data) {
					t.Errorf("%s: key %q is written as %q, and read back as %q, %v", store, data, text, back, err)
				}
			}
			if key, err := format.ParseKey(data); err == nil {
				if text, err := format.Key(nil, key); err != nil || !bytes.Equal(text, data) {
					t.Errorf("%s: text %q is read as the key %q, which is written as %q, %v", store, data, key, text, err)
				}
			}
		}
	})
}
