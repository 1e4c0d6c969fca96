package cmd_test

import (
	"github.com/tidemark-dev/tidemark/cmd"
	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

// The whole main function of a program that counts words.
func Example() {
	words := topology.Topic[string, string]{Name: "words", Key: codec.String{}, Value: codec.String{}}
	seen := topology.Store[string, int64]{Name: "seen"}
	cmd.Main(cmd.Program{Build: func() (*topology.Topology, error) {
		b := topology.NewBuilder("words")
		topology.Count(topology.Consume(b, words), seen)
		return b.Build()
	}})
}
