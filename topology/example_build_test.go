package topology_test

import (
	"fmt"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

func ExampleBuilder_Build() {
	b := topology.NewBuilder("hello world")
	topology.Materialize(b, topology.Topic[string, string]{Name: "lines", Key: codec.String{}}, topology.Store[string, string]{})
	_, err := b.Build()
	fmt.Println(err)
	// Output:
	// example_build_test.go:11: application "hello world": a name is made of letters, digits, '.', '_' and '-', not of ' '
	// example_build_test.go:12: topic "lines": no codec for its values of type string
	// example_build_test.go:12: table of topic lines: store: it has no name
}
