package processor_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

// The market joins trades, which are orders and refunds, with the cities of the
// customers, and sends them on by city, where they are summed up and counted in
// windows.
var (
	byCity   = topology.Topic[string, int64]{Name: "trades-by-city", Key: codec.String{}, Value: codec.JSON[int64]{}}
	visits   = topology.Topic[spell, int64]{Name: "visits"}
	busy     = topology.Store[spell, int64]{Name: "busy"}
	turnover = topology.Store[string, int64]{Name: "turnover"}
)

const (
	marketGroup  = "market-names"
	marketWindow = 100 * time.Millisecond
)

type trade struct {
	city   string
	amount int64
}

func marketTopology(t testing.TB, _ string) *topology.Topology {
	b := topology.NewBuilder("market")
	trades := topology.Merge(topology.Consume(b, orders), topology.Consume(b, refunds))
	placed := topology.Join(trades, topology.Materialize(b, customers, names),
		topology.Inner(func(_ string, amount int64, city string) trade { return trade{city, amount} }))
	topology.Publish(topology.MapValues(placed, func(_ string, t trade) string { return fmt.Sprintf("%d in %s", t.amount, t.city) }), bills)
	sent := topology.Repartition(topology.Map(placed, func(_ string, t trade) (string, int64) { return t.city, t.amount }), byCity)
	topology.Aggregate(sent, turnover, func(_ string, amount, sum int64) int64 { return sum + amount })
	windows := topology.Window(sent, topology.Tumbling{Size: marketWindow, Grace: time.Hour})
	topology.Publish(topology.Count(windows, busy), visits)
	return build(t, b)
}

// A market is a cluster with the market's topics, what was sent to it, and what
// plain Go makes of that.
type market struct {
	*cluster
	r      *rand.Rand
	now    int64
	cities map[string]string // of customers
	bills  []string
	sums   map[string]int64
	visits map[spell]int64
}

func newMarket(t testing.TB, r *rand.Rand) *market {
	m := &market{
		cluster: newCluster(t, 1), r: r, now: 1_000_000,
		cities: map[string]string{}, sums: map[string]int64{}, visits: map[spell]int64{},
	}
	for _, name := range []string{customers.Name, orders.Name, refunds.Name, bills.Name, visits.Name} {
		m.create(name, 3, nil)
	}
	return m
}

// move has every customer move to some city.
func (m *market) move() {
	m.t.Helper()
	var raws []topology.Raw
	for k := range shopKeys {
		city := []string{"Bergen", "Cork", "Husum", "Porto", "Split"}[m.r.IntN(5)]
		m.cities[string(shopKey(k))] = city
		raws = append(raws, topology.Raw{Key: shopKey(k), Value: []byte(city), Time: time.UnixMilli(m.now)})
	}
	m.produce(customers.Name, raws...)
}

// trade sends n orders and refunds.
func (m *market) trade(n int) {
	m.t.Helper()
	raws := map[string][]topology.Raw{}
	for range n {
		m.now += m.r.Int64N(3)
		key, amount, topic := shopKey(m.r.IntN(shopKeys)), 1+m.r.Int64N(99), orders.Name
		if m.r.IntN(3) == 0 {
			amount, topic = -amount, refunds.Name
		}
		at := time.UnixMilli(m.now)
		raws[topic] = append(raws[topic], topology.Raw{Key: key, Value: strconv.AppendInt(nil, amount, 10), Time: at})

		city := m.cities[string(key)]
		m.bills = append(m.bills, fmt.Sprintf("%s: %d in %s", key, amount, city))
		m.sums[city] += amount
		start := at.Truncate(marketWindow).UTC()
		m.visits[spell{Key: city, Start: start, End: start.Add(marketWindow)}]++
	}
	for topic, r := range raws {
		m.produce(topic, r...)
	}
}

// taken tells whether all that was sent is processed and joined.
func (m *market) taken() bool {
	info := m.GroupInfo(marketGroup)
	for _, topic := range []string{customers.Name, orders.Name, refunds.Name} {
		for _, p := range m.PartitionInfos(topic) { // without markers of transactions
			if p.HighWatermark > 0 && (info == nil || info.Commits[topic][p.Partition].Offset < p.HighWatermark) {
				return false
			}
		}
	}
	return true
}

// settled waits until an instance has all tables as they must be, and compares
// changelogs and topics.
func (m *market) settled(i *instance) {
	m.t.Helper()
	sums, counts := map[string]string{}, map[string]string{}
	for city, sum := range m.sums {
		sums[city] = strconv.FormatInt(sum, 10)
	}
	numbers := map[string]int64{} // windows as bytes
	for window, n := range m.visits {
		key, err := topology.WindowedCodec[string]{Key: codec.String{}}.Encode(window)
		if err != nil {
			m.t.Fatal(err)
		}
		numbers[string(key)] = n
		counts[string(key)] = count(m.t, n)
	}
	for _, table := range []struct {
		name string
		want map[string]string
	}{{names.Name, m.cities}, {turnover.Name, sums}, {busy.Name, counts}} {
		eventually(m.t, func() error {
			got := map[string]string{}
			if err := i.rows(table.name, got); err != nil {
				return err
			}
			if diff := gocmp.Diff(table.want, got); diff != "" {
				return fmt.Errorf("table %s (-want +got):\n%s", table.name, diff)
			}
			return nil
		})
		if diff := gocmp.Diff(table.want, lastValues(m.read("market-"+table.name+"-table"))); diff != "" {
			m.t.Errorf("changelog of %s (-want +got):\n%s", table.name, diff)
		}
	}
	var paid []string
	for _, r := range m.read(bills.Name) {
		paid = append(paid, fmt.Sprintf("%s: %s", r.Key, r.Value))
	}
	slices.Sort(paid)
	if diff := gocmp.Diff(slices.SortedFunc(slices.Values(m.bills), cmp.Compare), paid); diff != "" {
		m.t.Errorf("bills (-want +got):\n%s", diff)
	}
	seen, wrong := map[string]int64{}, 0
	for _, r := range m.read(visits.Name) {
		key := string(r.Key)
		if seen[key]++; string(r.Value) != count(m.t, seen[key]) && wrong < 10 {
			m.t.Errorf("%s: window %q: got %x as its %dth count", r.Position, key, r.Value, seen[key])
			wrong++
		}
	}
	if diff := gocmp.Diff(numbers, seen); diff != "" {
		m.t.Errorf("visits published (-want +got):\n%s", diff)
	}
}

func count(t testing.TB, n int64) string {
	t.Helper()
	data, err := codec.Int64{}.Encode(n)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
