package topology_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

func ExampleFilterMap() {
	t := new(testing.T) // that of the test
	lines := topology.JSONTopic[string]("lines")
	numbers := topology.JSONTopic[int]("numbers")

	b := topology.NewBuilder("parse")
	parsed := topology.FilterMap(topology.Consume(b, lines), func(_, line string) (n int, ok bool) {
		_, err := fmt.Sscan(line, &n)
		return n, err == nil
	})
	topology.Publish(parsed, numbers)
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 1)
	for _, line := range []string{"7", "seven", "8"} {
		topologytest.Send(d, lines, "ann", line)
	}
	for _, r := range topologytest.Received(d, numbers) {
		fmt.Println(r.Key, *r.Value)
	}
	// Output:
	// ann 7
	// ann 8
}

func ExampleSplit() {
	t := new(testing.T)
	words := topology.JSONTopic[string]("words")
	long, short := topology.JSONTopic[string]("long"), topology.JSONTopic[string]("short")

	b := topology.NewBuilder("sort")
	parts := topology.Split(topology.Consume(b, words),
		topology.Branch[string, string]{Name: "long", Take: func(_, word string) bool { return len(word) > 3 }})
	topology.Publish(parts[0], long)
	topology.Publish(parts[1], short) // the rest
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 1)
	for _, word := range []string{"tide", "is", "high"} {
		topologytest.Send(d, words, "ann", word)
	}
	for _, topic := range []topology.Topic[string, string]{long, short} {
		for _, r := range topologytest.Received(d, topic) {
			fmt.Println(topic.Name, *r.Value)
		}
	}
	// Output:
	// long tide
	// long high
	// short is
}

func ExampleMerge() {
	t := new(testing.T)
	web, shop := topology.JSONTopic[int64]("web"), topology.JSONTopic[int64]("shop")
	sums := topology.Store[string, int64]{Name: "sums"}

	b := topology.NewBuilder("sales")
	all := topology.Merge(topology.Consume(b, web), topology.Consume(b, shop))
	topology.Reduce(all, sums, func(_ string, cents, sum int64) int64 { return sum + cents })
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 1)
	topologytest.Send(d, web, "ann", 300)
	topologytest.Send(d, shop, "ann", 50)
	fmt.Println(topologytest.Rows(d, sums))
	// Output: map[ann:350]
}

// Words are counted by themselves and not by the speaker, whose key their records
// have: they go to the partition of their word before.
func ExampleRepartition() {
	t := new(testing.T)
	spoken := topology.JSONTopic[string]("spoken")
	byWord := topology.JSONTopic[string]("words-by-word")
	counts := topology.Store[string, int64]{Name: "counts"}

	b := topology.NewBuilder("words")
	words := topology.SelectKey(topology.Consume(b, spoken), func(_, word string) string { return word })
	topology.Count(topology.Repartition(words, byWord), counts)
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 4)
	topologytest.Send(d, spoken, "ann", "tide")
	topologytest.Send(d, spoken, "bob", "tide")
	fmt.Println(topologytest.Rows(d, counts))
	// Output: map[tide:2]
}

// A topic of pointers shows its tombstones to functions.
func ExampleConsume_tombstones() {
	t := new(testing.T)
	names := topology.Topic[string, *string]{Name: "names", Key: codec.String{}, Value: codec.Optional[string]{Of: codec.String{}}}
	log := topology.JSONTopic[string]("log")

	b := topology.NewBuilder("names")
	topology.Publish(topology.MapValues(topology.Consume(b, names), func(_ string, name *string) string {
		if name == nil {
			return "gone"
		}
		return "is now " + *name
	}), log)
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 1)
	ann := "Ann"
	topologytest.Send(d, names, "1", &ann)
	topologytest.Send(d, names, "1", nil)
	for _, r := range topologytest.Received(d, log) {
		fmt.Println(r.Key, *r.Value)
	}
	// Output:
	// 1 is now Ann
	// 1 gone
}

// What Publish does not know beforehand, Route decides for each record.
func ExampleRoute() {
	t := new(testing.T)
	events := topology.JSONTopic[string]("events")

	b := topology.NewBuilder("router")
	topology.Route(topology.Consume(b, events), func(_, kind string) topology.Topic[string, string] {
		return topology.JSONTopic[string]("events-" + strings.ToLower(kind))
	})
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 1)
	topologytest.Send(d, events, "ann", "Login")
	fmt.Println(len(topologytest.Received(d, topology.JSONTopic[string]("events-login"))))
	// Output: 1
}

// A step of your own keeps what it needs in a store, and is called by the clock.
func ExampleProcess() {
	t := new(testing.T)
	beats := topology.JSONTopic[string]("beats")
	alerts := topology.JSONTopic[string]("alerts")
	last := topology.Store[string, time.Time]{Name: "last-beat", Key: codec.String{}, Value: codec.Time{}}

	b := topology.NewBuilder("watch")
	silent := topology.Process(topology.Consume(b, beats), func(c *topology.Context[string, string]) func(topology.Record[string, string]) error {
		rows := topology.Open(c, last)
		c.Every(time.Minute, topology.StreamTime, func(now time.Time) error {
			for host, at := range rows.All() {
				if now.Sub(at) > 90*time.Second {
					c.Emit(topology.Record[string, string]{Key: host, Value: "silent"})
				}
			}
			return nil
		})
		return func(r topology.Record[string, string]) error {
			rows.Set(r.Key, r.Time)
			return nil
		}
	})
	topology.Publish(silent, alerts)
	topo, _ := b.Build()

	d := topologytest.New(t, topo, 1)
	start := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	for i, host := range []string{"a", "b", "b", "b"} {
		d.At(start.Add(time.Duration(i) * 40 * time.Second))
		topologytest.Send(d, beats, host, "up")
	}
	for _, r := range topologytest.Received(d, alerts) {
		fmt.Println(r.Key, *r.Value, r.Time.Format("15:04:05"))
	}
	// Output: a silent 08:02:00
}
