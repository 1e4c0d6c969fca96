package topology_test

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

type (
	ownLine    = topology.Record[string, string]
	ownContext = topology.Context[string, string]
)

var (
	memo = topology.Store[string, string]{Name: "memo", Key: codec.String{}, Value: codec.String{}}
	side = topology.Topic[string, int64]{Name: "side", Key: codec.String{}, Value: codec.Int64{}}
)

// own declares a step whose results go to the topic out.
func own(setup func(*ownContext) func(ownLine) error) func(*topology.Builder) {
	return func(b *topology.Builder) {
		topology.Publish(topology.Process(topology.Consume(b, lines), setup), out)
	}
}

func in(key, value string, at int64) event { return event{"lines", key, value, at} }

// What is emitted has the time and headers of the record unless it has its own;
// other topics are published to beside it.
func TestEmit(t *testing.T) {
	d := drive(t, own(func(c *ownContext) func(ownLine) error {
		count := topology.Publisher(c, side)
		return func(r ownLine) error {
			c.Emit(ownLine{Key: r.Key, Value: r.String()})
			count(topology.Record[string, int64]{Key: r.Key, Value: int64(len(r.Value))})
			c.Emit(ownLine{Key: "own", Time: time.UnixMilli(9), Headers: []topology.Header{{Key: "own"}}})
			count(topology.Record[string, int64]{Key: "own", Time: time.UnixMilli(8), Headers: []topology.Header{}})
			if c.Now(topology.StreamTime) != r.Time {
				return errors.New("the clock stands elsewhere")
			}
			return nil
		}
	}))
	r := in("a", "text", 5).raw()
	r.Headers = []topology.Header{{Key: "trace"}}
	d.SendRaw(r)
	var got []string
	for _, r := range topologytest.Received(d, out) {
		got = append(got, fmt.Sprintf("%s=%s@%d %v", r.Key, *r.Value, r.Time.UnixMilli(), r.Headers))
	}
	for _, r := range topologytest.Received(d, side) {
		got = append(got, fmt.Sprintf("%s=%d@%d %v", r.Key, *r.Value, r.Time.UnixMilli(), r.Headers))
	}
	want := []string{"a=lines/0@0@5 [{trace []}]", "own=@9 [{own []}]", "a=4@5 [{trace []}]", "own=0@8 []"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("emitted (-want +got):\n%s", diff)
	}
	if got := build(t, own(func(c *ownContext) func(ownLine) error {
		topology.Publisher(c, side)
		return func(ownLine) error { return nil }
	})).Groups()[0].Outputs; !slices.Equal(got, []string{"out", "side"}) {
		t.Errorf("outputs %q", got)
	}
}

// commands is a step that does with its store what the records say, and emits
// what it sees.
func commands(c *ownContext) func(ownLine) error {
	rows := topology.Open(c, memo)
	return func(r ownLine) error {
		word, rest, _ := strings.Cut(r.Value, " ")
		switch word {
		case "set":
			rows.Set(r.Key, rest)
		case "delete":
			rows.Delete(r.Key)
		case "get":
			v, ok := rows.Get(r.Key)
			c.Emit(ownLine{Key: r.Key, Value: fmt.Sprint(v, ok)})
		case "all":
			for k, v := range rows.All() {
				if k == rest {
					break
				}
				c.Emit(ownLine{Key: k, Value: v})
			}
		case "range":
			for k, v := range rows.Range(r.Key, rest) {
				rows.Set(k, "seen "+v) // the range is as it was when it began
				rows.Delete("z" + k)
				c.Emit(ownLine{Key: k, Value: v})
			}
		case "fail":
			rows.Set(r.Key, "failed")
			c.Emit(ownLine{Key: r.Key})
			return io.ErrUnexpectedEOF
		case "panic":
			rows.Set(r.Key, "failed")
			panic("no")
		}
		return nil
	}
}

func TestOpenStore(t *testing.T) {
	d := drive(t, own(commands))
	holds(t, d, []truth{
		{in("a", "get", 1), "a=false@1"},
		{in("a", "set 1", 2), ""},
		{in("c", "set 3", 3), ""},
		{in("b", "set 2", 4), ""},
		{in("a", "get", 5), "a=1true@5"},
		{in("x", "all", 6), "a=1@6 b=2@6 c=3@6"},
		{in("x", "all c", 6), "a=1@6 b=2@6"},
		{in("a", "range c", 7), "a=1@7 b=2@7"},
		{in("b", "delete", 8), ""},
		{in("b", "get", 9), "b=false@9"},
		{in("x", "all", 9), "a=seen 1@9 c=3@9"},
	})
	d.Restart()
	holds(t, d, []truth{
		{in("x", "all", 10), "a=seen 1@10 c=3@10"},
		{in("a", "fail", 11), ""},
		{in("a", "panic", 11), ""},
		{in("a", "get", 12), "a=seen 1true@12"},
	})
	var got []string
	for _, err := range d.Errors() {
		got = append(got, regexp.MustCompile(`go:\d+`).ReplaceAllString(err.Error(), "go:LINE"))
	}
	want := []string{"record lines/0@12: process 1: unexpected EOF", "record lines/0@13: process 1: panic at process_test.go:LINE: no"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

// Steps that open one store are in one group, and see what each has written;
// that of a table is read, and written by the table alone.
func TestSharedStores(t *testing.T) {
	both := func(c *topology.Context[string, string]) func(ownLine) error {
		rows, table := topology.Open(c, memo), topology.Open(c, last)
		return func(r ownLine) error {
			seen, _ := rows.Get(r.Key)
			current, ok := table.Get(r.Key)
			c.Emit(ownLine{Key: r.Key, Value: fmt.Sprint(seen, ",", current, ok)})
			if r.Value == "write" {
				table.Set(r.Key, "mine")
			}
			rows.Set(r.Key, seen+r.Value)
			return nil
		}
	}
	declare := func(b *topology.Builder) {
		topology.Materialize(b, ones, last)
		topology.Publish(topology.Process(topology.Consume(b, lines), both), out)
		topology.Publish(topology.Process(topology.Consume(b, twos), both), out)
	}
	topo := build(t, declare)
	if g := topo.Groups(); len(g) != 1 || len(g[0].Inputs) != 3 || len(g[0].Stores) != 2 {
		t.Fatalf("groups\n%s", topo)
	}
	d := topologytest.New(t, topo, 3)
	holds(t, d, []truth{
		{event{"one", "a", "row", 1}, ""},
		{event{"lines", "a", "x", 2}, "a=,rowtrue@2"},
		{event{"two", "a", "y", 3}, "a=x,rowtrue@3"},
		{event{"one", "a", "null", 4}, ""},
		{event{"lines", "a", "z", 5}, "a=xy,false@5"},
	})
	task, err := topo.Groups()[0].NewTask(0, func(string) topology.Rows { return rows{} }, "", topology.Policies{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = task.Process(in("a", "write", 6).raw())
	want := `process 1: store "last": Set: a table is kept in it, whose rows only the table may write`
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// What cannot be read, decoded or passed on fails when the function returns.
func TestErrorsWithinSteps(t *testing.T) {
	refused := func(c *ownContext) func(ownLine) error {
		rows := topology.Open(c, memo)
		return func(r ownLine) error {
			if r.Value == "get" {
				rows.Get(r.Key)
			}
			c.Emit(r)
			rows.Set(r.Key, "after") // nothing more is done
			return nil
		}
	}
	topo := build(t, func(b *topology.Builder) {
		topology.Publish(topology.Try(topology.Process(topology.Consume(b, lines), refused), parse), topology.Topic[string, int64]{Name: "out", Value: codec.Int64{}})
	})
	task := start(topo.Groups()[0], rows{})
	_, err := task.Process(in("a", "x", 1).raw())
	var of *topology.RecordError
	if !errors.As(err, &of) || of.Node != "try 1" {
		t.Errorf("error %v, want one of try 1", err)
	}
	if w, err := task.Process(in("a", "7", 1).raw()); err != nil || len(w.Records) != 1 || len(w.Rows) != 1 {
		t.Errorf("the next record: %+v, %v", w, err)
	}
	_, err = start(topo.Groups()[0], broken{panics: false}).Process(in("a", "get", 1).raw())
	if !errors.Is(err, io.ErrClosedPipe) || errors.As(err, &of) {
		t.Errorf("error %v, want that of the store", err)
	}
}

// A timer that fails is nobody's record: nothing of the call is left, and the
// timers are due again.
func TestTimersFail(t *testing.T) {
	var fired []int64
	failing := ""
	timed := func(c *ownContext) func(ownLine) error {
		c.Every(10*time.Millisecond, topology.StreamTime, func(now time.Time) error {
			fired = append(fired, now.UnixMilli())
			return nil
		})
		stop := c.Every(15*time.Millisecond, topology.StreamTime, func(now time.Time) error {
			switch failing {
			case "error":
				return io.ErrUnexpectedEOF
			case "panic":
				panic("no")
			case "emit":
				c.Emit(ownLine{Value: "not a number"})
			}
			fired = append(fired, -now.UnixMilli())
			return nil
		})
		return func(r ownLine) error {
			if r.Value == "stop" {
				stop()
			}
			if r.Key == "fail" {
				return io.ErrClosedPipe
			}
			return nil
		}
	}
	topo := build(t, func(b *topology.Builder) {
		topology.Publish(topology.Try(topology.Process(topology.Consume(b, lines), timed), parse), topology.Topic[string, int64]{Name: "out", Value: codec.Int64{}})
	})
	task := start(topo.Groups()[0], rows{})
	wantFired := func(want ...int64) {
		t.Helper()
		if diff := cmp.Diff(want, fired); diff != "" {
			t.Errorf("fired (-want +got):\n%s", diff)
		}
		fired = nil
	}
	process := func(e event, want string) {
		t.Helper()
		_, err := task.Process(e.raw())
		got := ""
		if err != nil {
			got = regexp.MustCompile(`go:\d+`).ReplaceAllString(err.Error(), "go:LINE")
		}
		var of *topology.RecordError
		if got != want || errors.As(err, &of) != strings.HasPrefix(want, "record") {
			t.Errorf("error %q, want %q", got, want)
		}
	}
	process(in("a", "x", 5), "")
	wantFired(5, -5)
	clocks := task.Clocks()
	for failing = range map[string]bool{"error": true, "panic": true, "emit": true} {
		process(in("a", "x", 31), map[string]string{
			"error": "process 1: timer of 15ms: unexpected EOF",
			"panic": "process 1: timer of 15ms: panic at process_test.go:LINE: no",
			"emit":  `process 1: timer of 15ms: try 1: strconv.ParseInt: parsing "not a number": invalid syntax`,
		}[failing])
		fired = nil
		if got := task.Clocks(); got != clocks {
			t.Errorf("the clock stands at %s, want %s", got, clocks)
		}
	}
	failing = ""
	process(in("fail", "stop", 31), "record lines/0@0: process 1: io: read/write on closed pipe")
	process(in("a", "x", 31), "")
	wantFired(31, -31)
	process(in("a", "x", 45), "")
	wantFired(45, -45)
	process(in("a", "stop", 60), "")
	wantFired(60)
}

func TestProcessValues(t *testing.T) {
	declare := func(b *topology.Builder) {
		values := topology.ProcessValues(topology.Consume(b, lines), func(c *topology.Context[string, int64]) func(ownLine) error {
			c.Every(time.Second, topology.WallTime, func(time.Time) error {
				c.Emit(topology.Record[string, int64]{Key: "timer"})
				return nil
			})
			return func(r ownLine) error {
				c.Emit(topology.Record[string, int64]{Key: "another", Value: int64(len(r.Value))})
				return nil
			}
		})
		topology.Publish(values, side)
		topology.Count(values, tally) // without a Repartition
	}
	d := drive(t, declare)
	for _, e := range []event{in("a", "xyz", 1), in("null", "x", 2)} {
		d.SendRaw(e.raw())
	}
	d.Advance(time.Second)
	got := topologytest.Received(d, side)
	if len(got) != 3 || got[0].Key != "a" || *got[0].Value != 3 || got[2].Key != "timer" || got[2].Time.UnixMilli() != 1000 {
		t.Errorf("told %+v", got)
	}
	if diff := cmp.Diff(map[string]int64{"a": 1, "timer": 1}, topologytest.Rows(d, tally)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// A window store is a store of windowed keys, of which a range is asked for.
func TestOpenWindows(t *testing.T) {
	type windowed = topology.Windowed[string]
	store := topology.Store[windowed, int64]{
		Name: "windows", Key: topology.WindowedCodec[string]{Key: codec.String{}}, Value: codec.Int64{}, TTL: 100 * time.Millisecond,
	}
	at := func(key string, start int64) windowed {
		return windowed{Key: key, Start: time.UnixMilli(start).UTC(), End: time.UnixMilli(start + 10).UTC()}
	}
	d := drive(t, own(func(c *ownContext) func(ownLine) error {
		rows := topology.Open(c, store)
		return func(r ownLine) error {
			key := at(r.Key, r.Time.UnixMilli()/10*10)
			n, _ := rows.Get(key)
			rows.Set(key, n+1)
			sum := int64(0)
			for _, n := range rows.Range(at(r.Key, r.Time.UnixMilli()-50), at(r.Key, r.Time.UnixMilli()+50)) {
				sum += n
			}
			c.Emit(ownLine{Key: r.Key, Value: fmt.Sprint(sum)})
			return nil
		}
	}))
	holds(t, d, []truth{
		{in("a", "x", 5), "a=1@5"},
		{in("b", "x", 7), "b=1@7"},
		{in("a", "x", 9), "a=2@9"},
		{in("a", "x", 41), "a=3@41"},
		{in("a", "x", 85), "a=2@85"},
	})
	if got := topologytest.Rows(d, store); len(got) != 4 || got[at("a", 0)] != 2 {
		t.Errorf("rows %v", got)
	}
	holds(t, d, []truth{{in("b", "x", 108), "b=1@108"}}) // b's row of 7 is gone, and not a's of 9
	if got := topologytest.Rows(d, store); len(got) != 4 || got[at("b", 0)] != 0 || got[at("a", 0)] != 2 {
		t.Errorf("rows %v", got)
	}
}

// Setup learns, and does nothing else.
func TestMistakesOfProcess(t *testing.T) {
	none := func(ownLine) error { return nil }
	tick := func(time.Time) error { return nil }
	for _, test := range []struct {
		name  string
		setup func(*ownContext) func(ownLine) error
		want  string
	}{
		{"no setup", nil, "process 1: the function is nil"},
		{"no function", func(*ownContext) func(ownLine) error { return nil }, "process 1: setup returns no function"},
		{"emit", func(c *ownContext) func(ownLine) error { c.Emit(ownLine{}); return none }, "process 1: setup: Emit is called in setup, which can only open and declare"},
		{"now", func(c *ownContext) func(ownLine) error { c.Now(topology.WallTime); return none }, "process 1: setup: Now is called in setup, which can only open and declare"},
		{"store", func(c *ownContext) func(ownLine) error {
			rows := topology.Open(c, memo)
			rows.Get("a")
			for range rows.All() {
				t.Error("there is a row")
			}
			return none
		}, "process 1: setup: Get of a store is called in setup, which can only open and declare\nprocess 1: setup: All of a store is called in setup, which can only open and declare"},
		{"publisher", func(c *ownContext) func(ownLine) error {
			topology.Publisher(c, out)(ownLine{})
			return none
		}, "process 1: setup: a Publisher is called in setup, which can only open and declare"},
		{"panic", func(*ownContext) func(ownLine) error { panic("no") }, "process 1: setup: panic at process_test.go:LINE: no"},
		{"timers", func(c *ownContext) func(ownLine) error {
			c.Every(0, topology.WallTime, tick)
			c.Every(time.Microsecond, topology.WallTime, tick)
			c.Every(time.Second, topology.WallTime, nil)
			c.Every(time.Second, 7, tick)
			return none
		}, `process 1: setup: the interval of a timer is 0s: it is to be whole milliseconds, and more than none
process 1: setup: the interval of a timer is 1µs: it is to be whole milliseconds, and more than none
process 1: setup: the function of a timer of 1s is nil
process 1: setup: the clock of a timer is 7: it is StreamTime or WallTime`},
		{"codecs", func(c *ownContext) func(ownLine) error {
			topology.Open(c, topology.Store[string, string]{Name: "s"})
			topology.Publisher(c, topology.Topic[string, string]{Name: "t"})
			return none
		}, `store "s": no codec for its keys of type string
store "s": no codec for its values of type string
topic "t": no codec for its keys of type string
topic "t": no codec for its values of type string`},
		{"store's name", func(c *ownContext) func(ownLine) error {
			topology.Open(c, topology.Store[string, string]{Key: codec.String{}, Value: codec.String{}})
			return none
		}, `store of process 1: store: it has no name`},
		{"TTL", func(c *ownContext) func(ownLine) error {
			s := memo
			s.TTL = -time.Second
			topology.Open(c, s)
			return none
		}, `store "memo": TTL is -1s: it is to be whole milliseconds, or none`},
		{"shared", func(c *ownContext) func(ownLine) error {
			topology.Open(c, memo)
			topology.Open(c, topology.Store[string, int64]{Name: "memo"})
			s := memo
			s.TTL = time.Second
			topology.Open(c, s)
			s = memo
			s.Value = codec.JSON[string]{}
			topology.Open(c, s)
			return none
		}, `store "memo": process 1 opens it as topology.Store[string,int64], and process 1 as topology.Store[string,string]
store "memo": process 1 opens it with another TTL or EveryChange than process 1
store "memo": process 1 opens it with values in codec.JSON[string], and process 1 in codec.String`},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := topology.NewBuilder("hello")
			own(test.setup)(b)
			_, err := b.Build()
			if err == nil {
				t.Fatal("built")
			}
			if got := regexp.MustCompile(`go:\d+`).ReplaceAllString(mistakes(t, err), "go:LINE"); got != test.want {
				t.Errorf("error\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// Setup must ask each task for what it has asked for when the step was declared,
// and what it got is of use only while the step's functions run.
func TestSetupOfTasks(t *testing.T) {
	calls := 0
	var kept *ownContext
	var rest topology.OpenStore[string, string]
	topo := build(t, own(func(c *ownContext) func(ownLine) error {
		calls++
		kept = c
		switch calls {
		case 1:
			rest = topology.Open(c, memo)
		case 2:
			topology.Publisher(c, side)
			c.Emit(ownLine{})
		case 3:
			panic("no")
		case 4:
			return nil
		case 5:
			topology.Open(c, topology.Store[string, string]{Name: "other"})
		}
		return func(r ownLine) error {
			if r.Value == "every" {
				c.Every(time.Second, topology.WallTime, func(time.Time) error { return nil })
			}
			return nil
		}
	}))
	for _, want := range []string{
		"process 1: setup: topic \"side\" was not published to when the step was declared\nEmit is called in setup, which can only open and declare",
		"process 1: setup: panic at process_test.go:LINE: no",
		"process 1: setup: it returns no function",
		`process 1: setup: store "other" was not opened when the step was declared`,
	} {
		_, err := topo.Groups()[0].NewTask(0, func(string) topology.Rows { return rows{} }, "", topology.Policies{})
		got := ""
		if err != nil {
			got = regexp.MustCompile(`go:\d+`).ReplaceAllString(err.Error(), "go:LINE")
		}
		if got != want {
			t.Errorf("error %q, want %q", got, want)
		}
	}
	task := start(topo.Groups()[0], rows{})
	if _, err := task.Process(in("a", "x", 1).raw()); err != nil {
		t.Error(err)
	}
	kept.Emit(ownLine{})
	_, err := task.Process(in("a", "x", 1).raw())
	if want := "process 1: Emit is called while no function of its step runs"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	_, err = task.Process(in("a", "every", 1).raw())
	if want := "process 1: Every is called outside of setup"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if _, ok := rest.Get("a"); ok {
		t.Error("a store without a task has a row")
	}
}
