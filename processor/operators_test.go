package processor_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

// An operator is a small topology around one operator, and records for it.
type operator struct {
	name     string
	declare  func(*topology.Builder)
	sources  []source
	stepwise bool     // the records of topics meet in an order that only waiting makes sure of
	timed    bool     // values are times
	refuses  bool     // some records
	routed   []string // topics that Route chooses
	check    func(t *testing.T)
}

type (
	text   = topology.Table[string, string]
	spell  = topology.Windowed[string]
	copied = topology.Record[string, string]
)

const ms = time.Millisecond

var (
	out     = topology.Topic[string, string]{Name: "out", Key: codec.String{}, Value: codec.String{}}
	side    = topology.Topic[string, string]{Name: "side", Key: codec.String{}, Value: codec.String{}}
	moved   = topology.Topic[string, string]{Name: "moved", Key: codec.String{}, Value: codec.String{}}
	numbers = topology.Topic[string, int64]{Name: "numbers"}
	spells  = topology.Topic[spell, int64]{Name: "spells"}

	fromLeft = []source{{topic: left.Name}}
	fromBoth = []source{{topic: left.Name}, {topic: right.Name}}
	toGroups = []source{{topic: left.Name, value: groupOf}}
)

// kept is a store of text.
func kept(name string) topology.Store[string, string] {
	return topology.Store[string, string]{Name: name, Key: codec.String{}, Value: codec.String{}}
}

func tally(name string) topology.Store[string, int64] {
	return topology.Store[string, int64]{Name: name}
}

func spans(name string) topology.Store[spell, int64] { return topology.Store[spell, int64]{Name: name} }

// groupOf is another key, which records of one partition only have: so they come
// to it in one order.
func groupOf(r *rand.Rand, key string) string {
	groups := [][]string{{"u", "w"}, {"v", "x"}}[topology.Partition([]byte(key), trialPartitions)]
	return groups[r.IntN(2)]
}

func lefts(b *topology.Builder) topology.Stream[string, string] { return topology.Consume(b, left) }

func rights(b *topology.Builder) topology.Stream[string, string] { return topology.Consume(b, right) }

func leftRows(b *topology.Builder) text { return topology.Materialize(b, left, kept("lefts")) }

func rightRows(b *topology.Builder) text { return topology.Materialize(b, right, kept("rights")) }

func publish(s topology.Stream[string, string]) { topology.Publish(s, out) }

// publishCounts publishes the changes of a windowed count.
func publishCounts(t topology.Table[spell, int64]) { topology.Publish(t, spells) }

func odd(_, v string) bool      { return v > "" && v[0]%2 == 1 }
func twice(_, v string) string  { return v + v }
func inside(k, v string) string { return "<" + k + v + ">" }

// ended are the last six bytes of a line with another value.
func ended(_, v, line string) string { return (line + v)[max(0, len(line+v)-6):] }

func swapped(k, v string) (string, string) { return v, k }

// both joins two values, of which one may be missing.
func both(_ string, l, r *string) string { return orNone(l) + "-" + orNone(r) }

// digit is the number that a value is, 0 if it is none.
func digit(v string) int64 {
	n, _ := strconv.ParseInt(v, 10, 64)
	return n
}

func orNone(s *string) string {
	if s == nil {
		return "none"
	}
	return *s
}

type textJoiner = topology.Joiner[string, string, string, string]

var joiners = []struct {
	kind string
	by   textJoiner
}{
	{"inner", topology.Inner(func(k, l, r string) string { return both(k, &l, &r) })},
	{"left", topology.Left(func(k, l string, r *string) string { return both(k, &l, r) })},
	{"outer", topology.Outer(both)},
}

func operators() []operator {
	return slices.Concat(statelessOperators(), tableOperators(), aggregateOperators(), windowOperators(), joinOperators(), ownOperators())
}

func statelessOperators() []operator {
	seen := struct {
		sync.Mutex
		n map[string]int
	}{n: map[string]int{}}
	note := func(k, v string) {
		seen.Lock()
		defer seen.Unlock()
		seen.n[k+v]++
	}
	return []operator{
		{name: "Filter", sources: fromLeft, declare: func(b *topology.Builder) {
			publish(topology.Filter(lefts(b), odd))
		}},
		{name: "Map", sources: toGroups, declare: func(b *topology.Builder) {
			publish(topology.Map(lefts(b), swapped))
		}},
		{name: "MapValues", sources: fromLeft, declare: func(b *topology.Builder) {
			publish(topology.MapValues(lefts(b), twice))
		}},
		{name: "FlatMap", sources: toGroups, declare: func(b *topology.Builder) {
			publish(topology.FlatMap(lefts(b), func(k, v string, emit func(string, string)) {
				emit(v, k)
				emit(v, k+"!")
			}))
		}},
		{name: "FlatMapValues", sources: fromLeft, declare: func(b *topology.Builder) {
			publish(topology.FlatMapValues(lefts(b), func(k, v string, emit func(string)) {
				for n := range digit(v) {
					emit(fmt.Sprint(n))
				}
			}))
		}},
		{name: "SelectKey", sources: toGroups, declare: func(b *topology.Builder) {
			publish(topology.SelectKey(lefts(b), func(_, v string) string { return v }))
		}},
		{name: "Try", sources: fromLeft, refuses: true, declare: func(b *topology.Builder) {
			from := left
			from.Policies.Process = topology.Skip
			publish(topology.Try(topology.Consume(b, from), func(_, v string) (string, error) {
				if v == "7" {
					return "", fmt.Errorf("no %s", v)
				}
				return v, nil
			}))
		}},
		{name: "Records", sources: fromLeft, declare: func(b *topology.Builder) {
			publish(topology.MapValues(topology.Records(lefts(b)), func(_ string, r copied) string {
				return fmt.Sprint(r.Position, " ", r.Time.UnixMilli(), " ", r.Headers)
			}))
		}},
		{name: "Split", sources: fromLeft, declare: func(b *topology.Builder) {
			parts := topology.Split(lefts(b), topology.Branch[string, string]{Name: "odd", Take: odd},
				topology.Branch[string, string]{Name: "big", Take: func(_, v string) bool { return v > "5" }})
			publish(topology.Merge(parts[0], topology.MapValues(parts[2], twice)))
			topology.Publish(parts[1], side)
		}},
		{name: "Merge", sources: fromBoth, declare: func(b *topology.Builder) {
			publish(topology.Merge(topology.MapValues(lefts(b), inside), rights(b)))
			topology.Reduce(topology.Merge(lefts(b), rights(b)), kept("last"), ended)
		}},
		{name: "Peek and ForEach", sources: fromLeft, declare: func(b *topology.Builder) {
			publish(topology.Peek(lefts(b), note))
			topology.ForEach(leftChanges(b), func(k, v string) { note(k, "table "+v) })
		}, check: func(t *testing.T) {
			for v, n := range seen.n {
				if n < 2 {
					t.Errorf("%s was seen %d times by both", v, n)
				}
			}
		}},
		{name: "Publish", sources: fromLeft, declare: func(b *topology.Builder) {
			publish(lefts(b))
			topology.Publish(leftRows(b), side)
		}},
		{name: "Route", sources: fromLeft, routed: []string{"to-odd", "to-even"}, declare: func(b *topology.Builder) {
			topology.Route(lefts(b), func(k, v string) topology.Topic[string, string] {
				if odd(k, v) {
					return topology.Topic[string, string]{Name: "to-odd"}
				}
				return topology.Topic[string, string]{Name: "to-even"}
			})
		}},
		{name: "Repartition", sources: toGroups, declare: func(b *topology.Builder) {
			through := topology.Repartition(topology.Map(lefts(b), swapped), moved)
			topology.Reduce(through, kept("groups"), ended)
			topology.Publish(topology.Count(through, tally("sizes")), numbers)
		}},
	}
}

// leftChanges are those of a table of the left topic, as text.
func leftChanges(b *topology.Builder) topology.Stream[string, string] {
	return topology.MapValues(topology.ToStream(leftRows(b)), changeText)
}

func changeText(_ string, c topology.Change[string]) string { return both("", c.Old, c.New) }

func tableOperators() []operator {
	return []operator{
		{name: "Materialize", sources: fromLeft, declare: func(b *topology.Builder) { leftRows(b) }},
		{name: "ToTable", sources: fromLeft, declare: func(b *topology.Builder) {
			topology.Publish(topology.ToTable(topology.MapValues(lefts(b), inside), kept("rows")), out)
		}},
		{name: "Derive", sources: fromLeft, declare: func(b *topology.Builder) {
			topology.Publish(topology.Derive(leftRows(b), kept("odd"), func(k, v string) (string, bool) { return inside(k, v), odd(k, v) }), out)
		}},
		{name: "ToStream", sources: fromLeft, declare: func(b *topology.Builder) { publish(leftChanges(b)) }},
		{name: "Regroup and Count", sources: toGroups, declare: func(b *topology.Builder) {
			topology.Publish(topology.Count(topology.Regroup(leftRows(b), moved, swapped), tally("sizes")), numbers)
		}},
		{name: "Regroup and Aggregate", sources: toGroups, declare: func(b *topology.Builder) {
			members := topology.Regroup(leftRows(b), moved, swapped)
			topology.Publish(topology.Aggregate(members, kept("members"), func(_ string, c topology.Change[string], all string) string {
				if c.Old != nil {
					all = strings.Replace(all, *c.Old, "", 1)
				}
				if c.New != nil {
					all += *c.New
				}
				return all
			}), out)
		}},
		{name: "TTL", sources: fromLeft, declare: func(b *topology.Builder) {
			rows := kept("young")
			rows.TTL = 90 * ms
			topology.Publish(topology.Materialize(b, left, rows), out)
		}},
		{name: "Topic.Time", sources: fromBoth, timed: true, declare: func(b *topology.Builder) {
			stamped := func(t topology.Topic[string, string]) topology.Topic[string, string] {
				t.Time = func(r topology.Record[string, string]) time.Time {
					v := r.Value
					return time.UnixMilli(digit(v))
				}
				return t
			}
			all := topology.Merge(topology.Consume(b, stamped(left)), topology.Consume(b, stamped(right)))
			publish(topology.MapValues(all, inside))
			publishCounts(topology.Count(topology.Window(all, topology.Tumbling{Size: 100 * ms}), spans("counts")))
		}},
	}
}

func aggregateOperators() []operator {
	return []operator{
		{name: "Count", sources: fromLeft, declare: func(b *topology.Builder) {
			topology.Publish(topology.Count(lefts(b), tally("counts")), numbers)
		}},
		{name: "Reduce", sources: fromLeft, declare: func(b *topology.Builder) {
			topology.Publish(topology.Reduce(lefts(b), kept("last"), ended), out)
		}},
		{name: "Aggregate", sources: fromLeft, declare: func(b *topology.Builder) {
			rows := topology.Store[string, *string]{Name: "sevens", Value: codec.JSON[*string]{}}
			t := topology.Aggregate(lefts(b), rows, func(_, v string, all *string) *string {
				if v == "7" {
					return nil
				}
				if all != nil {
					v = *all + v
				}
				return &v
			})
			topology.Publish(t, topology.Topic[string, *string]{Name: "out"})
		}},
		{name: "Cogroup", sources: fromBoth, declare: func(b *topology.Builder) {
			topology.Publish(topology.Cogroup(kept("rows"), topology.Fold(lefts(b), ended),
				topology.Fold(rights(b), func(k, v, all string) string { return ended(k, "r"+v, all) })), out)
		}},
	}
}

func windowOperators() []operator {
	tumbling := topology.Tumbling{Size: 60 * ms, Grace: 20 * ms}
	counts := func(b *topology.Builder, by topology.Windows) topology.Table[spell, int64] {
		return topology.Count(topology.Window(lefts(b), by), spans("counts"))
	}
	return []operator{
		{name: "Tumbling", sources: fromLeft, declare: func(b *topology.Builder) {
			rows := spans("counts")
			rows.TTL = 150 * ms
			publishCounts(topology.Count(topology.Window(lefts(b), tumbling), rows))
		}},
		{name: "Hopping", sources: fromLeft, declare: func(b *topology.Builder) {
			rows := topology.Store[spell, string]{Name: "lines", Value: codec.String{}}
			w := topology.Window(lefts(b), topology.Hopping{Size: 60 * ms, Advance: 25 * ms, Grace: 10 * ms})
			topology.Publish(topology.Aggregate(w, rows, func(_ spell, v, all string) string { return all + v }), topology.Topic[spell, string]{Name: "out"})
		}},
		{name: "Sliding", sources: fromLeft, declare: func(b *topology.Builder) {
			publishCounts(counts(b, topology.Sliding{Size: 60 * ms, Grace: 30 * ms}))
		}},
		{name: "Session", sources: fromLeft, declare: func(b *topology.Builder) {
			rows := topology.Store[spell, string]{Name: "lines", Value: codec.String{}, Merge: func(_ spell, a, b string) string { return a + "+" + b }}
			w := topology.Window(lefts(b), topology.Session{Gap: 80 * ms, Grace: 20 * ms})
			topology.Publish(topology.Aggregate(w, rows, func(_ spell, v, all string) string { return all + v }), topology.Topic[spell, string]{Name: "out"})
		}},
		{name: "windowed Cogroup", sources: fromBoth, declare: func(b *topology.Builder) {
			add := func(_ spell, v string, sum int64) int64 { return sum + digit(v) }
			rows := spans("sums")
			rows.Value = codec.Int64{}
			publishCounts(topology.Cogroup(rows, topology.Fold(topology.Window(lefts(b), tumbling), add),
				topology.Fold(topology.Window(rights(b), tumbling), add)))
		}},
		{name: "Suppress until Closed", sources: fromLeft, declare: func(b *topology.Builder) {
			publishCounts(topology.Suppress(counts(b, tumbling), spans("closed"), topology.Until{Closed: true}))
		}},
		{name: "Suppress sessions until Closed", sources: fromLeft, declare: func(b *topology.Builder) {
			publishCounts(topology.Suppress(counts(b, topology.Session{Gap: 60 * ms, Grace: 20 * ms}), spans("closed"), topology.Until{Closed: true}))
		}},
		{name: "Suppress until Age", sources: fromLeft, declare: func(b *topology.Builder) {
			topology.Publish(topology.Suppress(leftRows(b), kept("slow"), topology.Until{Age: 70 * ms}), out)
		}},
		{name: "Suppress until Rows", sources: fromLeft, declare: func(b *topology.Builder) {
			topology.Publish(topology.Suppress(leftRows(b), kept("slow"), topology.Until{Rows: 2}), out)
		}},
		{name: "Suppress until Age or Rows", sources: fromLeft, declare: func(b *topology.Builder) {
			topology.Publish(topology.Suppress(leftRows(b), kept("slow"), topology.Until{Age: 100 * ms, Rows: 3}), out)
		}},
	}
}

func joinOperators() (all []operator) {
	foreign := []source{
		{topic: left.Name, value: func(r *rand.Rand, _ string) string { return fmt.Sprintf("%d|%c", r.IntN(9), 'a'+r.IntN(5)) }},
		{topic: right.Name, keys: 4},
	}
	afterBar := func(_, v string) (string, bool) {
		_, key, ok := strings.Cut(v, "|")
		return key, ok && key != "e"
	}
	for _, j := range joiners {
		kind, by := j.kind, j.by
		within := topology.Within{Name: "pairs", Before: 60 * ms, After: 30 * ms, Grace: 20 * ms}
		all = append(all,
			operator{name: "JoinTables " + kind, sources: fromBoth, declare: func(b *topology.Builder) {
				topology.Publish(topology.JoinTables(leftRows(b), rightRows(b), kept("joined"), by), out)
			}},
			operator{name: "JoinStreams " + kind, sources: fromBoth, declare: func(b *topology.Builder) {
				publish(topology.JoinStreams(lefts(b), topology.As(topology.MapValues(rights(b), inside), codec.String{}), within, by))
			}},
		)
		if kind == "outer" {
			continue
		}
		all = append(all,
			operator{name: "Join " + kind, sources: fromBoth, declare: func(b *topology.Builder) {
				publish(topology.Join(lefts(b), rightRows(b), by))
			}},
			operator{name: "JoinGlobal " + kind, sources: []source{foreign[0], {topic: right.Name}}, declare: func(b *topology.Builder) {
				publish(topology.JoinGlobal(lefts(b), topology.Broadcast(b, right, kept("rights")), afterBar, by))
			}},
			operator{name: "JoinForeign " + kind, sources: foreign, stepwise: true, declare: func(b *topology.Builder) {
				topology.Publish(topology.JoinForeign(leftRows(b), rightRows(b), kept("joined"), afterBar, by), out)
			}},
		)
	}
	return all
}

// ownOperators are steps of one's own.
func ownOperators() []operator {
	memo := kept("memo")
	return []operator{
		{name: "Process with a store", sources: fromLeft, declare: func(b *topology.Builder) {
			publish(topology.ProcessValues(lefts(b), func(c *topology.Context[string, string]) func(copied) error {
				rows := topology.Open(c, memo)
				return func(r copied) error {
					line := "before "
					for k, v := range rows.Range("", r.Key) {
						line += k + v
					}
					if old, ok := rows.Get(r.Key); ok && old == r.Value {
						rows.Delete(r.Key)
					} else {
						rows.Set(r.Key, r.Value)
					}
					c.Emit(copied{Value: line})
					return nil
				}
			}))
		}},
		{name: "Process with timers by stream time", sources: fromLeft, declare: func(b *topology.Builder) {
			publish(topology.ProcessValues(lefts(b), func(c *topology.Context[string, string]) func(copied) error {
				rows := topology.Open(c, memo)
				c.Every(50*ms, topology.StreamTime, func(now time.Time) error {
					for k, v := range rows.All() {
						c.Emit(copied{Key: k, Value: fmt.Sprint(v, " at ", now.UnixMilli())})
						rows.Delete(k)
					}
					return nil
				})
				return func(r copied) error {
					rows.Set(r.Key, r.Value)
					return nil
				}
			}))
		}},
		{name: "Process with timers by the time of day", sources: fromLeft, declare: func(b *topology.Builder) {
			publish(topology.ProcessValues(lefts(b), func(c *topology.Context[string, string]) func(copied) error {
				rows := topology.Open(c, memo) // what is still to be emitted, by offset
				c.Every(20*ms, topology.WallTime, func(time.Time) error {
					for place, line := range rows.All() {
						key, at, _ := strings.Cut(line, " ")
						c.Emit(copied{Key: key, Value: place, Time: time.UnixMilli(digit(at))})
						rows.Delete(place)
					}
					return nil
				})
				return func(r copied) error {
					rows.Set(fmt.Sprintf("%03d", r.Offset), fmt.Sprint(r.Key, " ", r.Time.UnixMilli()))
					return nil
				}
			}))
		}},
		{name: "Publisher", sources: fromLeft, declare: func(b *topology.Builder) {
			publish(topology.Process(lefts(b), func(c *topology.Context[string, string]) func(copied) error {
				aside := topology.Publisher(c, side)
				return func(r copied) error {
					if odd(r.Key, r.Value) {
						aside(copied{Key: r.Key, Value: r.Value, Headers: []topology.Header{{Key: "odd"}}})
					}
					c.Emit(copied{Key: r.Key, Value: inside(r.Key, r.Value), Time: r.Time.Add(time.Second)})
					return nil
				}
			}))
		}},
	}
}

// Each operator has on Kafka, over a restart, the results that it has in the test
// driver: in changelogs, tables, on the disk, and in topics.
func TestOperators(t *testing.T) {
	for seed := range seeds(t, 1) {
		for n, o := range operators() {
			e := ending{hard: (n+seed)/2%2 == 1, lost: (n+seed)%2 == 1}
			t.Run(fmt.Sprintf("%s, %v, seed %d", o.name, e, seed), func(t *testing.T) {
				t.Parallel()
				o.try(t, uint64(seed), e)
			})
		}
	}
}
