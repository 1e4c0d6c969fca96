package topology_test

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// An arrival is a record of one side, 0 for the left one.
type arrival struct {
	side  int
	key   string // "-" for none
	value string
	at    int64
}

func (a arrival) String() string {
	return fmt.Sprintf("%s %s %d %s", []string{"left", "right"}[a.side], a.value, a.at, a.key)
}

// A model joins streams as KStreamKStreamJoin describes it, by loops over all that
// has ever come. Only what a window store has forgotten by its own time is left out.
type model struct {
	before, after, grace int64
	alone                [2]bool

	kept    [2][]arrival
	clocks  [2]int64
	clock   int64
	waiting []arrival
	results []string
}

func newModel(before, after, grace int64, kind int) *model {
	m := &model{before: before, after: after, grace: grace, alone: [2]bool{kind > 0, kind > 1}, clock: math.MinInt64}
	m.clocks = [2]int64{math.MinInt64, math.MinInt64}
	return m
}

func (m *model) span(side int) (before, after, life int64) {
	before, after = m.before, m.after
	if side == 1 {
		before, after = after, before
	}
	return before, after, max(before+after+m.grace, after+m.grace+1)
}

func (m *model) emit(key string, at int64, l, r string) {
	m.results = append(m.results, fmt.Sprintf("%s:%s-%s@%d", key, l, r, at))
}

func (m *model) single(a arrival) {
	values := [2]string{"null", "null"}
	values[a.side] = a.value
	m.emit(a.key, a.at, values[0], values[1])
}

func (m *model) over(a arrival) bool {
	_, after, _ := m.span(a.side)
	return a.at+after+m.grace < m.clock
}

func (m *model) process(a arrival) {
	m.clock = max(m.clock, a.at)
	if a.key == "-" {
		if m.alone[a.side] {
			m.single(a)
		}
		return
	}
	if a.at == m.clock {
		slices.SortStableFunc(m.waiting, func(x, y arrival) int {
			return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(y.side, x.side), cmp.Compare(x.key, y.key))
		})
		for _, w := range m.waiting {
			if m.over(w) {
				m.single(w)
			}
		}
		m.waiting = slices.DeleteFunc(m.waiting, m.over)
	}
	before, after, _ := m.span(a.side)
	other := 1 - a.side
	_, _, theirLife := m.span(other)
	var met []arrival
	for _, o := range m.kept[other] {
		if o.key == a.key && o.at >= a.at-before && o.at <= a.at+after && o.at > m.clocks[other]-theirLife {
			met = append(met, o)
		}
	}
	slices.SortStableFunc(met, func(x, y arrival) int { return cmp.Compare(x.at, y.at) })
	for _, o := range met {
		m.waiting = slices.DeleteFunc(m.waiting, func(w arrival) bool { return w == o })
		pair := [2]string{a.value, o.value}
		m.emit(a.key, max(a.at, o.at), pair[a.side], pair[other])
	}
	switch {
	case len(met) > 0 || !m.alone[a.side]:
	case m.over(a):
		m.single(a)
	default:
		m.waiting = append(m.waiting, a)
	}
	m.clocks[a.side] = max(m.clocks[a.side], a.at)
	m.kept[a.side] = append(m.kept[a.side], a)
}

// For random records, out of order and late, with restarts, the results are the
// model's, in its order.
func TestJoinedStreamsAreTheModels(t *testing.T) {
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 1))
		before, after, grace := random.Int64N(30)-8, random.Int64N(30), random.Int64N(3)*random.Int64N(15)
		if before+after < 0 {
			before = -after
		}
		kind := int(seed % 3)
		w := near(time.Duration(before)*ms, time.Duration(after)*ms, time.Duration(grace)*ms)
		d := topologytest.New(t, build(t, joinBoth(w, []textJoiner{innerText, leftText, outerText}[kind])), 1)
		m := newModel(before, after, grace, kind)
		now := int64(100)
		for i := range 120 {
			now += random.Int64N(5)
			a := arrival{random.IntN(2), []string{"a", "b", "b\x00", "-"}[random.IntN(4)%(2+random.IntN(3))], fmt.Sprint(i), now}
			switch random.IntN(6) {
			case 0:
				a.at -= random.Int64N(20)
			case 1:
				a.at -= random.Int64N(80)
			}
			if random.IntN(50) == 0 {
				now += 100
			}
			m.results = nil
			m.process(a)
			sendArrival(t, d, a)
			if got, want := receivedWithKeys(d), strings.Join(m.results, " "); got != want {
				t.Fatalf("seed %d, %+v, kind %d: record %d, %v: results %q, want %q", seed, w, kind, i, a, got, want)
			}
			if random.IntN(10) == 0 {
				d.Restart()
			}
		}
	}
}

func sendArrival(t *testing.T, d *topologytest.Driver, a arrival) {
	t.Helper()
	topic := []topology.Topic[string, string]{lefts, rights}[a.side]
	d.At(time.UnixMilli(a.at))
	if a.key == "-" {
		d.SendRaw(topology.Raw{Value: []byte(a.value), Position: topology.Position{Topic: topic.Name}})
		return
	}
	topologytest.Send(d, topic, a.key, a.value)
}

func receivedWithKeys(d *topologytest.Driver) string {
	var all []string
	for _, r := range topologytest.Received(d, topology.Topic[string, string]{Name: results.Name}) {
		all = append(all, fmt.Sprintf("%s:%s@%d", cmp.Or(r.Key, "-"), text(r.Value), r.Time.UnixMilli()))
	}
	return strings.Join(all, " ")
}

// For records in the order of their times the results are those of a double loop
// over all of them.
func TestJoinedStreamsAreADoubleLoop(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		for seed := range uint64(30) {
			random := rand.New(rand.NewPCG(seed, 2))
			kind := int(seed % 3)
			before, after := random.Int64N(40)-10, random.Int64N(40)-10
			if before+after < 0 {
				before, after = -after, -before
			}
			w := near(time.Duration(before)*ms, time.Duration(after)*ms, time.Duration(random.Int64N(10))*ms)
			d := topologytest.New(t, build(t, joinBoth(w, []textJoiner{innerText, leftText, outerText}[kind])), partitions)
			var sides [2][]arrival
			now := int64(1000)
			for i := range 100 {
				now += random.Int64N(6)
				a := arrival{random.IntN(2), fmt.Sprint(random.IntN(6)), fmt.Sprint(i), now}
				sides[a.side] = append(sides[a.side], a)
				sendArrival(t, d, a)
			}
			for i := range 40 { // move the clock of every partition
				sendArrival(t, d, arrival{0, fmt.Sprint("end", i), "end", now + 1000})
			}
			var want []string
			matched := map[arrival]bool{}
			for _, l := range sides[0] {
				for _, r := range sides[1] {
					if l.key == r.key && r.at >= l.at-before && r.at <= l.at+after {
						matched[l], matched[r] = true, true
						want = append(want, fmt.Sprintf("%s:%s-%s@%d", l.key, l.value, r.value, max(l.at, r.at)))
					}
				}
			}
			for _, l := range sides[0] {
				if !matched[l] && kind > 0 {
					want = append(want, fmt.Sprintf("%s:%s-null@%d", l.key, l.value, l.at))
				}
			}
			for _, r := range sides[1] {
				if !matched[r] && kind > 1 {
					want = append(want, fmt.Sprintf("%s:null-%s@%d", r.key, r.value, r.at))
				}
			}
			got := slices.DeleteFunc(strings.Fields(receivedWithKeys(d)), func(r string) bool { return strings.HasPrefix(r, "end") })
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, %d partitions, %+v, kind %d: results\n%v\nwant\n%v", seed, partitions, w, kind, got, want)
			}
		}
	}
}

// orderedRows are the rows of a store in the order of their keys. What they hand
// out they spoil as soon as they may.
type orderedRows struct {
	state topology.StateStore
	rows  []topology.Row
	lent  [][]byte
}

// lend returns a copy that is good until spoil.
func (o *orderedRows) lend(data []byte) []byte {
	data = append([]byte{}, data...)
	o.lent = append(o.lent, data)
	return data
}

func (o *orderedRows) spoil() {
	for _, data := range o.lent {
		for i := range data {
			data[i] = '!'
		}
	}
	o.lent = nil
}

func (o *orderedRows) find(key []byte) (int, bool) {
	return slices.BinarySearchFunc(o.rows, key, func(r topology.Row, key []byte) int { return bytes.Compare(r.Key, key) })
}

func (o *orderedRows) Get(key []byte) ([]byte, int64, error) {
	o.spoil()
	if i, ok := o.find(key); ok {
		return o.lend(o.rows[i].Value), o.rows[i].Time, nil
	}
	return nil, 0, nil
}

func (o *orderedRows) Scan(from, to []byte) iter.Seq2[topology.Row, error] {
	return func(yield func(topology.Row, error) bool) {
		o.spoil()
		for _, r := range slices.Clone(o.rows) {
			if bytes.Compare(r.Key, from) < 0 || to != nil && bytes.Compare(r.Key, to) >= 0 {
				continue
			}
			r.Key, r.Value = o.lend(r.Key), o.lend(r.Value)
			if !yield(r, nil) {
				return
			}
			o.spoil()
		}
	}
}

func (o *orderedRows) Due() iter.Seq2[topology.Row, error] {
	due := slices.Clone(o.rows)
	slices.SortStableFunc(due, func(a, b topology.Row) int {
		return cmp.Compare(o.state.Deadline(a.Key, a.Value, a.Time), o.state.Deadline(b.Key, b.Value, b.Time))
	})
	return func(yield func(topology.Row, error) bool) {
		for _, r := range due {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (o *orderedRows) put(row topology.Row) {
	i, ok := o.find(row.Key)
	switch {
	case ok && row.Value == nil:
		o.rows = slices.Delete(o.rows, i, i+1)
	case ok:
		o.rows[i] = row
	case row.Value != nil:
		o.rows = slices.Insert(o.rows, i, row)
	}
}

// A storedTask is a task whose rows can be looked at.
type storedTask struct {
	*topology.Task
	stores map[string]*orderedRows
}

func orderedTask(t *testing.T, g *topology.Group) *storedTask {
	t.Helper()
	k := &storedTask{stores: map[string]*orderedRows{}}
	for _, s := range g.Stores {
		k.stores[s.Name] = &orderedRows{state: s}
	}
	var err error
	if k.Task, err = g.NewTask(0, func(store string) topology.Rows { return k.stores[store] }, "", topology.Policies{}); err != nil {
		t.Fatal(err)
	}
	return k
}

// process passes a record on; an empty key or value is a missing one.
func (k *storedTask) process(t *testing.T, topic, key, value string, at int64) topology.Writes {
	t.Helper()
	r := topology.Raw{Time: time.UnixMilli(at), Position: topology.Position{Topic: topic}}
	if key != "" {
		r.Key = []byte(key)
	}
	if value != "" {
		r.Value = []byte(value)
	}
	return k.pass(t, r)
}

// pass processes a record. What comes out is the caller's.
func (k *storedTask) pass(t *testing.T, r topology.Raw) topology.Writes {
	t.Helper()
	w, err := k.Process(r)
	if err != nil {
		t.Fatal(err)
	}
	w.Records = slices.Clone(w.Records)
	for i := range w.Records {
		w.Records[i].Key, w.Records[i].Value = bytes.Clone(w.Records[i].Key), bytes.Clone(w.Records[i].Value)
	}
	for _, row := range w.Rows {
		row.Key, row.Value = bytes.Clone(row.Key), bytes.Clone(row.Value)
		k.stores[row.Store].put(row)
	}
	return w
}
