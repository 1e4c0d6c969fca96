package topology_test

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

type hello struct {
	State string `json:"state"`
	Count int64  `json:"helloCount"`
	Total int64  `json:"helloTotalCount"`
}

var (
	journal = topology.Topic[string, hello]{Name: "hello-log-store", Key: codec.String{}, Value: codec.JSON[hello]{}}
	hellos  = topology.Store[string, hello]{Name: "hello-state-store"}
	counts  = topology.Store[string, int64]{Name: "hello-counts"}
)

// rows are Rows in a map.
type rows map[string][]byte

func (r rows) Get(key []byte) ([]byte, int64, error)            { return r[string(key)], 0, nil }
func (rows) Scan([]byte, []byte) iter.Seq2[topology.Row, error] { return nil }
func (rows) Due() iter.Seq2[topology.Row, error]                { return nil }

// start starts a task of a group that has one store.
func start(g *topology.Group, r topology.Rows) *topology.Task {
	task, err := g.NewTask(0, func(string) topology.Rows { return r }, "", topology.Policies{})
	if err != nil {
		panic(err)
	}
	return task
}

func (r rows) apply(w topology.Writes) {
	for _, row := range w.Rows {
		r[string(row.Key)] = row.Value
		if row.Value == nil {
			delete(r, string(row.Key))
		}
	}
}

// process passes a record to every group that reads its topic. The writes are
// those of all of them.
func process(topo *topology.Topology, r topology.Raw) (all topology.Writes, err error) {
	if r.Time.IsZero() {
		r.Time = at(0)
	}
	for _, g := range topo.Groups() {
		if !slices.Contains(g.Inputs, r.Topic) {
			continue
		}
		w, gerr := start(g, rows{}).Process(r)
		err = errors.Join(err, gerr)
		all.Rows, all.Records = append(all.Rows, w.Rows...), append(all.Records, w.Records...)
		all.Dropped = all.Dropped || w.Dropped
	}
	return all, err
}

func build(t testing.TB, declare func(*topology.Builder)) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder("hello")
	declare(b)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

const testid = `{"state":"HAPPY","helloCount":10,"helloTotalCount":100}`

func record(key, value string) topology.Raw {
	return topology.Raw{
		Key:      []byte(key),
		Value:    []byte(value),
		Time:     time.UnixMilli(1000),
		Headers:  []topology.Header{{Key: "trace", Value: []byte("7")}},
		Position: topology.Position{Topic: "hello-log-store", Partition: 1, Offset: 2},
	}
}

func TestMaterializeWritesTheRecordsBytes(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		topology.Publish(topology.Materialize(b, journal, hellos), topology.Topic[string, hello]{Name: "changes"})
	})
	in := record("testid-01", testid)
	got, err := process(topo, in)
	if err != nil {
		t.Fatal(err)
	}
	want := topology.Writes{
		Rows: []topology.Row{{Store: "hello-state-store", Key: in.Key, Value: in.Value, Time: 1000}},
		Records: []topology.Output{{
			Raw:          topology.Raw{Key: in.Key, Value: in.Value, Time: in.Time, Headers: in.Headers, Position: topology.Position{Topic: "changes"}},
			PartitionKey: in.Key,
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	if &got.Rows[0].Value[0] != &in.Value[0] {
		t.Error("the value was copied")
	}
}

func TestRecordErrors(t *testing.T) {
	policies := topology.Policies{Decode: topology.Skip, Process: topology.DeadLetter}
	from := journal
	from.Policies = policies
	declare := func(b *topology.Builder) {
		all := topology.Consume(b, from)
		happy := topology.Filter(all, func(_ string, h hello) bool {
			if h.State == "SAD" {
				panic("sad")
			}
			return []string{"HAPPY", "ANGRY"}[h.Count] == "HAPPY"
		})
		table := topology.Count(topology.Try(happy, func(_ string, h hello) (hello, error) {
			if h.Total < 0 {
				return h, fmt.Errorf("total %d: %w", h.Total, io.ErrUnexpectedEOF)
			}
			return h, nil
		}), counts)
		topology.Publish(table, topology.Topic[string, int64]{Name: "numbers"})
	}
	for _, test := range []struct {
		name, value string
		want        string
		policy      topology.Policy
	}{
		{"bytes", `{"state":`, `filter 1: decode value: unexpected end of JSON input`, topology.Skip},
		{"field", `{"helloCount":"x"}`, `filter 1: decode value: json: cannot unmarshal string into Go struct field hello.helloCount of type int64`, topology.Skip},
		{"panic", `{"state":"SAD"}`, `filter 1: panic at task_test.go:LINE: sad`, topology.DeadLetter},
		{"runtime error", `{"helloCount":2}`, `filter 1: panic at task_test.go:LINE: runtime error: index out of range [2] with length 2`, topology.DeadLetter},
		{"try", `{"helloTotalCount":-1}`, `try 1: total -1: unexpected EOF`, topology.DeadLetter},
		{"row", `{}`, `count hello-counts: decode row: 3 bytes "bad", not the 8 of an integer`, topology.DeadLetter},
	} {
		t.Run(test.name, func(t *testing.T) {
			task := start(build(t, declare).Groups()[0], rows{"a": []byte("bad")})
			w, err := task.Process(record("a", test.value))
			var refused *topology.RecordError
			if !errors.As(err, &refused) {
				t.Fatalf("error %v, want a RecordError", err)
			}
			got := regexp.MustCompile(`go:\d+`).ReplaceAllString(err.Error(), "go:LINE")
			if want := "record hello-log-store/1@2: " + test.want; got != want {
				t.Errorf("error\n%s\nwant\n%s", got, want)
			}
			if refused.Policy != test.policy {
				t.Errorf("policy %d, want %d", refused.Policy, test.policy)
			}
			if diff := cmp.Diff(topology.Writes{}, w); diff != "" {
				t.Errorf("it left something behind (-want +got):\n%s", diff)
			}
			// The next record is none the worse.
			w, err = task.Process(record("b", `{}`))
			if err != nil || len(w.Rows) != 1 || len(w.Records) != 1 {
				t.Errorf("the next record: %+v, %v", w, err)
			}
		})
	}
}

// broken is a Reader whose disk is.
type broken struct {
	rows
	panics bool
}

func (r broken) Get([]byte) ([]byte, int64, error) {
	if r.panics {
		panic("no disk")
	}
	return nil, 0, io.ErrClosedPipe
}

// The record is not to blame for what the Reader does.
func TestErrorsOfTheReader(t *testing.T) {
	topo := build(t, func(b *topology.Builder) { topology.Count(topology.Consume(b, journal), counts) })
	for _, r := range []broken{{panics: false}, {panics: true}} {
		_, err := start(topo.Groups()[0], r).Process(record("a", `{}`))
		var refused *topology.RecordError
		if err == nil || errors.As(err, &refused) || r.panics == errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%+v: error %v", r, err)
		}
	}
}

func TestAggregateDeletesARowByNil(t *testing.T) {
	topo := build(t, func(b *topology.Builder) {
		names := topology.Store[string, []string]{Name: "names", Value: codec.JSON[[]string]{}}
		topology.Aggregate(topology.Consume(b, journal), names, func(_ string, h hello, kept []string) []string {
			if h.State == "" {
				return nil
			}
			return append(kept, h.State)
		})
	})
	r := rows{}
	task := start(topo.Groups()[0], r)
	for _, test := range []struct{ value, want string }{
		{`{"state":"HAPPY"}`, `["HAPPY"]`},
		{`{"state":"ANGRY"}`, `["HAPPY","ANGRY"]`},
		{`{}`, ""},
		{`{"state":"HAPPY"}`, `["HAPPY"]`},
	} {
		w, err := task.Process(record("a", test.value))
		if err != nil {
			t.Fatal(err)
		}
		r.apply(w)
		if got := string(r["a"]); got != test.want {
			t.Errorf("after %s: row %s, want %s", test.value, got, test.want)
		}
	}
}

// Bytes that writes hold are not used again: who keeps them need not copy.
func TestWritesKeepTheirBytes(t *testing.T) {
	topo := build(t, func(b *topology.Builder) { topology.Count(topology.Consume(b, journal), counts) })
	task := start(topo.Groups()[0], rows{})
	w, err := task.Process(record("a", `{}`))
	if err != nil {
		t.Fatal(err)
	}
	key, value := w.Rows[0].Key, w.Rows[0].Value
	if _, err := task.Process(record("b", `{}`)); err != nil {
		t.Fatal(err)
	}
	if string(key) != "a" || string(value) != "\x00\x00\x00\x00\x00\x00\x00\x01" {
		t.Errorf("now they hold %q and %q", key, value)
	}
}

func TestMaterializeAllocatesNothing(t *testing.T) {
	topo := build(t, func(b *topology.Builder) { topology.Materialize(b, lines, last) })
	task, in := start(topo.Groups()[0], rows{}), record("a", testid)
	in.Topic = "lines"
	if n := testing.AllocsPerRun(100, func() { _, _ = task.Process(in) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Tasks of one group share nothing that changes.
func TestTasksRunSideBySide(t *testing.T) {
	g := build(t, func(b *topology.Builder) {
		topology.Count(topology.Filter(topology.Consume(b, lines), func(k, _ string) bool { return k != "" }), counts)
	}).Groups()[0]
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			r := rows{}
			task := start(g, r)
			for range 100 {
				in := record("a", "x")
				in.Topic = "lines"
				w, err := task.Process(in)
				if err != nil {
					t.Error(err)
				}
				r.apply(w)
			}
			if r["a"][7] != 100 {
				t.Errorf("counted to %d, want 100", r["a"][7])
			}
		})
	}
	wait.Wait()
}

func BenchmarkMaterialize(b *testing.B) {
	topo := build(b, func(b *topology.Builder) { topology.Materialize(b, journal, hellos) })
	benchmark(b, topo, rows{})
}

func BenchmarkCount(b *testing.B) {
	topo := build(b, func(b *topology.Builder) { topology.Count(topology.Consume(b, journal), counts) })
	benchmark(b, topo, rows{"testid-01": {0, 0, 0, 0, 0, 0, 0, 9}})
}

func benchmark(b *testing.B, topo *topology.Topology, r rows) {
	task := start(topo.Groups()[0], r)
	in := record("testid-01", testid)
	b.ReportAllocs()
	b.SetBytes(int64(len(in.Value)))
	for b.Loop() {
		if _, err := task.Process(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckOfJSON(b *testing.B) {
	data := []byte(testid)
	b.ReportAllocs()
	for b.Loop() {
		if err := (codec.JSON[hello]{}).Check(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMaterializeBytes(b *testing.B) {
	from := topology.Topic[string, []byte]{Name: "hello-log-store", Key: codec.String{}, Value: codec.Bytes{}}
	topo := build(b, func(b *topology.Builder) { topology.Materialize(b, from, topology.Store[string, []byte]{Name: "raw"}) })
	benchmark(b, topo, rows{})
}
