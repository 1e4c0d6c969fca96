package topologytest_test

import (
	"fmt"
	"testing"

	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

func ExampleDriver() {
	t := new(testing.T) // that of the test

	b := topology.NewBuilder("hello")
	topology.Materialize(b, journal, hellos)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, topo, 4)
	for i := range int64(10) {
		topologytest.Send(d, journal, "testid-01", hello{"HAPPY", i + 1, (i + 1) * 10})
	}
	topologytest.Send(d, journal, "testid-02", hello{"ANGRY", 1, 1})
	topologytest.Delete(d, journal, "testid-02")
	d.Restart()
	fmt.Println(topologytest.Rows(d, hellos))
	// Output: map[testid-01:{HAPPY 10 100}]
}
