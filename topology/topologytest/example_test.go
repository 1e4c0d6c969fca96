package topologytest_test

import (
	"fmt"
	"testing"

	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// What a test of one's own looks like; here it prints.
func ExampleDriver() {
	t := new(testing.T) // that of the test

	b := topology.NewBuilder("hello")
	topology.Materialize(b, journal, hellos)
	topo, _ := b.Build()
	d := topologytest.New(t, topo, 4)
	for i := range int64(10) {
		topologytest.Send(d, journal, "testid-01", hello{"HAPPY", i + 1, (i + 1) * 10})
	}
	d.Restart()
	fmt.Println(topologytest.Rows(d, hellos))
	// Output: map[testid-01:{HAPPY 10 100}]
}
