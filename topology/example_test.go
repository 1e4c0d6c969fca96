package topology_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

// Ten records of one greeter leave one row, the last.
func Example() {
	b := topology.NewBuilder("hello")
	topology.Materialize(b, journal, hellos)
	topo, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	table := rows{}
	task := start(topo.Groups()[0], table)
	for i := int64(1); i <= 10; i++ {
		r, _ := journal.Encode("testid-01", hello{"HAPPY", i, i * 10})
		r.Time = time.Now()
		writes, err := task.Process(r)
		if err != nil {
			fmt.Println(err)
		}
		table.apply(writes)
	}
	for key, value := range table {
		fmt.Printf("%s %s\n", key, value)
	}
	// Output: testid-01 {"state":"HAPPY","helloCount":10,"helloTotalCount":100}
}

func ExampleTopology_String() {
	b := topology.NewBuilder("hello")
	table := topology.Materialize(b, journal, hellos)
	topology.Sync(table, &memory{"localhost:6379"})
	topo, _ := b.Build()
	fmt.Println(topo)
	// Output:
	// application hello
	//
	// group hello-hello-state-store (hello-log-store → hello-state-store)
	//   topic hello-log-store   → table hello-state-store
	//   table hello-state-store → changelog hello-hello-state-store-table
	//   table hello-state-store → sink memory localhost:6379
}

func ExampleCount() {
	words := topology.Topic[string, string]{Name: "words", Key: codec.String{}, Value: codec.String{}}
	b := topology.NewBuilder("words")
	long := topology.Filter(topology.Consume(b, words), func(_, word string) bool { return len(word) > 3 })
	shouted := topology.MapValues(long, func(_, word string) string { return strings.ToUpper(word) })
	topology.Publish(shouted, topology.Topic[string, string]{Name: "shouted"})
	topology.Count(shouted, topology.Store[string, int64]{Name: "shouts"})
	topo, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	task := start(topo.Groups()[0], rows{})
	for _, word := range []string{"tide", "is", "high"} {
		r, _ := words.Encode("ann", word)
		r.Time = time.Now()
		writes, _ := task.Process(r)
		for _, r := range writes.Records {
			key, value, _ := topo.Format(r.Raw)
			fmt.Println(r.Topic, key, string(value))
		}
	}
	// Output:
	// shouted ann "TIDE"
	// shouted ann "HIGH"
}
