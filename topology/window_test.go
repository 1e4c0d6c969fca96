package topology_test

import (
	"cmp"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

var (
	letters = topology.Topic[string, string]{Name: "letters", Key: codec.String{}, Value: codec.String{}}
	counted = topology.Store[topology.Windowed[string], int64]{Name: "counted"}
	traced  = topology.Store[topology.Windowed[string], string]{Name: "traced"}
	traces  = topology.Topic[topology.Windowed[string], string]{Name: "traces"}
)

const ms = time.Millisecond

// A sent is a record of a test: of a key, a value, and a time in milliseconds.
type sent struct {
	key, value string
	at         int64
}

// adder is Kafka Streams' MockAggregator.TOSTRING_ADDER with STRING_INIT.
func adder(_ topology.Windowed[string], v, kept string) string { return cmp.Or(kept, "0") + "+" + v }

// windowText writes a result as "a[0,10] = 0+1 @4".
func windowText(r topology.Record[topology.Windowed[string], *string]) string {
	value := "deleted"
	if r.Value != nil {
		value = "= " + *r.Value
	}
	return fmt.Sprintf("%s[%d,%d] %s @%d", r.Key.Key, r.Key.Start.UnixMilli(), r.Key.End.UnixMilli(), value, r.Time.UnixMilli())
}

// resultsOf sends records to a topology that publishes what comes out to traces.
// Whether it is restarted after each of them makes no difference.
func resultsOf(t *testing.T, build func(b *topology.Builder), records []sent) []string {
	t.Helper()
	b := topology.NewBuilder("app")
	build(b)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	var runs [2][]string
	for i := range runs {
		d := topologytest.New(t, topo, 1)
		for _, r := range records {
			d.At(at(r.at))
			topologytest.Send(d, letters, r.key, r.value)
			if i == 1 {
				d.Restart()
			}
		}
		for _, r := range topologytest.Received(d, traces) {
			runs[i] = append(runs[i], windowText(r))
		}
	}
	if diff := gocmp.Diff(runs[0], runs[1]); diff != "" {
		t.Errorf("restarts make a difference (-without +with):\n%s", diff)
	}
	return runs[0]
}

func added(by topology.Windows) func(b *topology.Builder) {
	return func(b *topology.Builder) {
		rows := traced
		rows.Merge = func(_ topology.Windowed[string], a, b string) string { return cmp.Or(a, "0") + "+" + b }
		table := topology.Aggregate(topology.Window(topology.Consume(b, letters), by), rows, adder)
		topology.Publish(table, traces)
	}
}

func TestFixedWindows(t *testing.T) {
	for _, test := range []struct {
		name    string
		by      topology.Windows
		records []sent
		want    string
	}{
		{
			// KStreamWindowAggregateTest.testAggregateBasic
			name: "hopping, out of order",
			by:   topology.Hopping{Size: 10 * ms, Advance: 5 * ms, Grace: 100 * ms},
			records: []sent{
				{"A", "1", 0},
				{"B", "2", 1},
				{"C", "3", 2},
				{"D", "4", 3},
				{"A", "1", 4},
				{"A", "1", 5},
				{"B", "2", 6},
				{"D", "4", 7},
				{"B", "2", 8},
				{"C", "3", 9},
				{"A", "1", 10},
				{"B", "2", 11},
				{"D", "4", 12},
				{"B", "2", 13},
				{"C", "3", 14},
				{"B", "1", 3},
				{"B", "2", 2},
				{"B", "3", 9},
			},
			want: `
				A[0,10] = 0+1 @0
				B[0,10] = 0+2 @1
				C[0,10] = 0+3 @2
				D[0,10] = 0+4 @3
				A[0,10] = 0+1+1 @4
				A[0,10] = 0+1+1+1 @5
				A[5,15] = 0+1 @5
				B[0,10] = 0+2+2 @6
				B[5,15] = 0+2 @6
				D[0,10] = 0+4+4 @7
				D[5,15] = 0+4 @7
				B[0,10] = 0+2+2+2 @8
				B[5,15] = 0+2+2 @8
				C[0,10] = 0+3+3 @9
				C[5,15] = 0+3 @9
				A[5,15] = 0+1+1 @10
				A[10,20] = 0+1 @10
				B[5,15] = 0+2+2+2 @11
				B[10,20] = 0+2 @11
				D[5,15] = 0+4+4 @12
				D[10,20] = 0+4 @12
				B[5,15] = 0+2+2+2+2 @13
				B[10,20] = 0+2+2 @13
				C[5,15] = 0+3+3 @14
				C[10,20] = 0+3 @14
				B[0,10] = 0+2+2+2+1 @8
				B[0,10] = 0+2+2+2+1+2 @8
				B[0,10] = 0+2+2+2+1+2+3 @9
				B[5,15] = 0+2+2+2+2+3 @13`,
		}, {
			// KStreamWindowAggregateTest.shouldLogAndMeterWhenSkippingExpiredWindow
			name: "hopping, late for one of two windows",
			by:   topology.Hopping{Size: 10 * ms, Advance: 5 * ms, Grace: 90 * ms},
			records: []sent{
				{"k", "100", 100}, {"k", "0", 0}, {"k", "1", 1}, {"k", "2", 2}, {"k", "3", 3}, {"k", "4", 4}, {"k", "5", 5}, {"k", "6", 6},
			},
			want: `
				k[95,105] = 0+100 @100
				k[100,110] = 0+100 @100
				k[5,15] = 0+5 @5
				k[5,15] = 0+5+6 @6`,
		}, {
			// KStreamWindowAggregateTest.shouldLogAndMeterWhenSkippingExpiredWindowByGrace
			name: "tumbling, late at the end of grace",
			by:   topology.Tumbling{Size: 10 * ms, Grace: 90 * ms},
			records: []sent{
				{"k", "100", 200}, {"k", "0", 100}, {"k", "1", 101}, {"k", "5", 105}, {"k", "6", 6},
			},
			want: `k[200,210] = 0+100 @200`,
		}, {
			name:    "tumbling, the last moment of grace",
			by:      topology.Tumbling{Size: 10 * ms, Grace: 90 * ms},
			records: []sent{{"k", "1", 199}, {"k", "2", 100}, {"other", "3", 200}, {"k", "4", 109}},
			want: `
				k[190,200] = 0+1 @199
				k[100,110] = 0+2 @100
				other[200,210] = 0+3 @200`,
		}, {
			// TimeWindowsTest.shouldComputeWindowsForTumblingWindows
			name:    "tumbling, edges",
			by:      topology.Tumbling{Size: 12 * ms},
			records: []sent{{"k", "1", 11}, {"k", "2", 12}, {"k", "3", 21}, {"k", "4", 23}, {"k", "5", 24}},
			want: `
				k[0,12] = 0+1 @11
				k[12,24] = 0+2 @12
				k[12,24] = 0+2+3 @21
				k[12,24] = 0+2+3+4 @23
				k[24,36] = 0+5 @24`,
		}, {
			// TimeWindowsTest.shouldComputeWindowsForHoppingWindows
			name:    "hopping, not a multiple",
			by:      topology.Hopping{Size: 12 * ms, Advance: 5 * ms},
			records: []sent{{"k", "1", 21}},
			want: `
				k[10,22] = 0+1 @21
				k[15,27] = 0+1 @21
				k[20,32] = 0+1 @21`,
		}, {
			// TimeWindowsTest.shouldComputeWindowsForBarelyOverlappingHoppingWindows
			name:    "hopping, barely overlapping",
			by:      topology.Hopping{Size: 6 * ms, Advance: 5 * ms},
			records: []sent{{"k", "1", 7}},
			want:    `k[5,11] = 0+1 @7`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			compareLines(t, test.want, resultsOf(t, added(test.by), test.records))
		})
	}
}

func compareLines(t *testing.T, want string, got []string) {
	t.Helper()
	var lines []string
	for line := range strings.SplitSeq(want, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if diff := gocmp.Diff(lines, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// undue are Rows none of which is ever due.
type undue struct{ rows }

func (undue) Due() iter.Seq2[topology.Row, error] { return func(func(topology.Row, error) bool) {} }

func taskOf(t testing.TB, declare func(*topology.Builder)) (*topology.Task, undue) {
	t.Helper()
	kept := undue{rows{}}
	return start(build(t, declare).Groups()[0], kept), kept
}

func letter(key []byte, value string, ms int64) topology.Raw {
	return topology.Raw{Key: key, Value: []byte(value), Time: at(ms), Position: topology.Position{Topic: "letters"}}
}

func TestWindowDrops(t *testing.T) {
	for _, test := range []struct {
		name string
		by   topology.Windows
		r    topology.Raw
		want bool
	}{
		// KStreamWindowAggregateTest.shouldLogAndMeterWhenSkippingNullKey
		{"no key", topology.Tumbling{Size: 10 * ms}, letter(nil, "1", 100), true},
		{"no value", topology.Tumbling{Size: 10 * ms}, topology.Raw{Key: []byte("k"), Time: at(100), Position: topology.Position{Topic: "letters"}}, true},
		{"over", topology.Tumbling{Size: 10 * ms}, letter([]byte("k"), "1", 99), true},
		{"in grace", topology.Tumbling{Size: 10 * ms, Grace: ms}, letter([]byte("k"), "1", 99), false},
		{"over for one of two", topology.Hopping{Size: 10 * ms, Advance: 5 * ms}, letter([]byte("k"), "1", 99), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			task, _ := taskOf(t, added(test.by))
			if w, err := task.Process(letter([]byte("other"), "0", 100)); err != nil || w.Dropped {
				t.Fatalf("the first record: dropped %v, %v", w.Dropped, err)
			}
			w, err := task.Process(test.r)
			if err != nil || w.Dropped != test.want {
				t.Errorf("dropped %v, %v, want %v", w.Dropped, err, test.want)
			}
			if got := task.Clocks(); got != "traced:2s" {
				t.Errorf("clocks %q", got)
			}
		})
	}
}

// Nothing that was late comes in time after a restart, also if no row is left.
func TestWindowClockSurvives(t *testing.T) {
	task, _ := taskOf(t, added(topology.Tumbling{Size: 10 * ms}))
	if _, err := task.Process(letter([]byte("k"), "0", 100)); err != nil {
		t.Fatal(err)
	}
	g := build(t, added(topology.Tumbling{Size: 10 * ms})).Groups()[0]
	next, err := g.NewTask(0, func(string) topology.Rows { return undue{rows{}} }, task.Clocks(), topology.Policies{})
	if err != nil {
		t.Fatal(err)
	}
	if w, err := next.Process(letter([]byte("k"), "1", 99)); err != nil || !w.Dropped || len(w.Rows) > 0 {
		t.Errorf("a late record is taken: %+v, %v", w, err)
	}
}

// What stands between Window and an aggregate sees each record in its windows.
func TestWindowIsSeen(t *testing.T) {
	var seen []string
	got := resultsOf(t, func(b *topology.Builder) {
		seen = nil
		hops := topology.Window(topology.Consume(b, letters), topology.Hopping{Size: 10 * ms, Advance: 5 * ms, Grace: 5 * ms})
		hops = topology.Peek(hops, func(w topology.Windowed[string], v string) {
			seen = append(seen, fmt.Sprintf("%s[%d,%d] %s", w.Key, w.Start.UnixMilli(), w.End.UnixMilli(), v))
		})
		odd := topology.Filter(hops, func(w topology.Windowed[string], _ string) bool { return w.Start.UnixMilli()%10 == 5 })
		loud := topology.MapValues(odd, func(_ topology.Windowed[string], v string) string { return v + "!" })
		topology.Publish(topology.Aggregate(loud, traced, adder), traces)
	}, []sent{{"k", "1", 7}, {"k", "2", 40}, {"k", "3", 21}})
	compareLines(t, `
		k[5,15] = 0+1! @7
		k[35,45] = 0+2! @40`, got)
	compareLines(t, `
		k[0,10] 1
		k[5,15] 1
		k[35,45] 2
		k[40,50] 2
		k[15,25] 3
		k[20,30] 3`, seen[:len(seen)/2])
}

// Rows and published records of a window lie in the partition of its key.
func TestWindowPartition(t *testing.T) {
	topo := build(t, added(topology.Tumbling{Size: 10 * ms}))
	key := []byte{'a', 0, 'b'}
	w, err := start(topo.Groups()[0], undue{rows{}}).Process(letter(key, "1", 100))
	if err != nil {
		t.Fatal(err)
	}
	if got := w.Records[0].PartitionKey; string(got) != string(key) {
		t.Errorf("published by %q, want %q", got, key)
	}
	if got := topo.Groups()[0].Stores[0].PartitionKey(w.Rows[0].Key); string(got) != string(key) {
		t.Errorf("kept by %q, want %q", got, key)
	}
}

func TestReduceWindows(t *testing.T) {
	// KStreamWindowReduceTest, TimeWindowedKStreamImplTest.shouldReduceWindowed
	got := resultsOf(t, func(b *topology.Builder) {
		by := topology.Tumbling{Size: 500 * ms, Grace: 2000 * ms}
		table := topology.Reduce(topology.Window(topology.Consume(b, letters), by), traced,
			func(_ topology.Windowed[string], v, kept string) string { return kept + "+" + v })
		topology.Publish(table, traces)
	}, []sent{{"1", "1", 10}, {"1", "2", 15}, {"1", "3", 500}, {"2", "10", 550}, {"2", "20", 500}})
	compareLines(t, `
		1[0,500] = 1 @10
		1[0,500] = 1+2 @15
		1[500,1000] = 3 @500
		2[500,1000] = 10 @550
		2[500,1000] = 10+20 @550`, got)
}

func TestWindowMistakes(t *testing.T) {
	count := func(by topology.Windows, ttl time.Duration) func(*topology.Builder) {
		return func(b *topology.Builder) {
			rows := counted
			rows.TTL = ttl
			topology.Count(topology.Window(topology.Consume(b, letters), by), rows)
		}
	}
	for name, test := range map[string]struct {
		declare func(*topology.Builder)
		want    string
	}{
		"no windows":      {count(nil, 0), "window 1 of topic letters: it has no windows"},
		"no size":         {count(topology.Tumbling{}, 0), "window 1 of topic letters: Size is 0s, it must be more than 0"},
		"negative size":   {count(topology.Hopping{Size: -ms, Advance: ms}, 0), "Size is -1ms"},
		"no advance":      {count(topology.Hopping{Size: ms}, 0), "Advance is 0s, it must be more than 0"},
		"large advance":   {count(topology.Hopping{Size: ms, Advance: 2 * ms}, 0), "Advance is 2ms, more than Size, 1ms"},
		"negative grace":  {count(topology.Tumbling{Size: ms, Grace: -ms}, 0), "Grace is -1ms, less than 0"},
		"fraction":        {count(topology.Tumbling{Size: time.Microsecond}, 0), "Size is 1µs: Kafka's times are whole milliseconds"},
		"sliding":         {count(topology.Sliding{}, 0), "Size is 0s"},
		"session":         {count(topology.Session{Grace: ms / 2}, 0), "Grace is 500µs"},
		"short TTL":       {count(topology.Tumbling{Size: 10 * ms, Grace: ms}, 10*ms), `store "counted": TTL is 10ms, but windows change for 11ms: Size and Grace from their start`},
		"negative TTL":    {count(topology.Tumbling{Size: 10 * ms}, -ms), `TTL is -1ms: it is to be`},
		"fraction of TTL": {count(topology.Tumbling{Size: 10 * ms}, 20*ms+1), `TTL is 20.000001ms: it is to be whole milliseconds`},
		"short TTL of sliding windows": {
			count(topology.Sliding{Size: 10 * ms, Grace: ms}, 20*ms), "windows change for 21ms: twice Size, and Grace, from their start",
		},
		"short TTL of sessions": {count(topology.Session{Gap: 10 * ms, Grace: ms}, 10*ms), "windows change for 11ms: Gap and Grace from their end"},
		"twice": {func(b *topology.Builder) {
			by := topology.Tumbling{Size: ms}
			topology.Count(topology.Window(topology.Window(topology.Consume(b, letters), by), by), topology.Store[topology.Windowed[topology.Windowed[string]], int64]{Name: "twice"})
		}, "window 2 of window 1: its records are in windows already"},
		"to a table": {func(b *topology.Builder) {
			topology.ToTable(topology.Window(topology.Consume(b, letters), topology.Tumbling{Size: ms}), traced)
		}, "table traced: its records are in windows: Count, Reduce or Aggregate them"},
		"merged": {func(b *topology.Builder) {
			s := topology.Consume(b, letters)
			topology.Count(topology.Merge(topology.Window(s, topology.Tumbling{Size: ms}), topology.Window(s, topology.Tumbling{Size: 2 * ms})), counted)
		}, "merge 1: window 2 is in other windows than window 1"},
		"other codec": {func(b *topology.Builder) {
			rows := counted
			rows.Key = topology.WindowedCodec[string]{Key: codec.JSON[string]{}}
			topology.Count(topology.Window(topology.Consume(b, letters), topology.Tumbling{Size: ms}), rows)
		}, `store "counted": its keys are encoded by`},
		"half a codec": {func(b *topology.Builder) {
			rows := counted
			rows.Key = topology.WindowedCodec[string]{}
			topology.Count(topology.Window(topology.Consume(b, letters), topology.Tumbling{Size: ms}), rows)
		}, `store "counted": its WindowedCodec has no codec for its Key`},
		"no function": {func(b *topology.Builder) {
			topology.Reduce(topology.Consume(b, letters), topology.Store[string, string]{Name: "newest"}, nil)
		}, "reduce newest: the function is nil"},
		"session without a merge": {func(b *topology.Builder) {
			topology.Aggregate(topology.Window(topology.Consume(b, letters), topology.Session{Gap: ms}), traced, adder)
		}, "aggregate traced: sessions that grow together need a function to merge their rows: set Merge of store \"traced\""},
	} {
		t.Run(name, func(t *testing.T) {
			b := topology.NewBuilder("app")
			test.declare(b)
			if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

func BenchmarkTumblingCount(b *testing.B) {
	topo := build(b, func(b *topology.Builder) {
		topology.Count(topology.Window(topology.Consume(b, letters), topology.Tumbling{Size: time.Minute}), counted)
	})
	kept := undue{rows{}}
	task := start(topo.Groups()[0], kept)
	in := letter([]byte("testid-01"), "1", 1)
	if w, err := task.Process(in); err != nil {
		b.Fatal(err)
	} else {
		kept.apply(w)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := task.Process(in); err != nil {
			b.Fatal(err)
		}
	}
}
