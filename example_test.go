package tidemark_test

import (
	"fmt"
	"log"
	"os"
	"strings"
	"testing"

	"github.com/tidemark-dev/tidemark/cmd"
	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

var (
	clicks = topology.Topic[string, string]{Name: "clicks", Key: codec.String{}, Value: codec.String{}}
	counts = topology.Store[string, int64]{Name: "click-counts"}
)

func build() (*topology.Topology, error) {
	b := topology.NewBuilder("clicks")
	table := topology.Count(topology.Consume(b, clicks), counts)
	topology.Sync(table, &redis.Sink{Addr: "localhost:6379"})
	return b.Build()
}

func main() { cmd.Main(cmd.Program{Build: build}) }

var _ = main // it needs a Kafka

// What the program keeps, found out without a server.
func Example() {
	topo, err := build()
	if err != nil {
		log.Fatal(err)
	}
	d := topologytest.New(new(testing.T), topo, 4) // the T is the test's
	topologytest.Send(d, clicks, "ann", "/tides")
	topologytest.Send(d, clicks, "bob", "/tides")
	topologytest.Send(d, clicks, "ann", "/moon")
	fmt.Println(topologytest.Rows(d, counts))
	// Output: map[ann:2 bob:1]
}

// The program of the package's comment is the one that is compiled here.
func TestDoc(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var program strings.Builder
	for line := range strings.Lines(string(doc)) {
		if code, ok := strings.CutPrefix(line, "//\t"); ok {
			program.WriteString(code)
		} else if line == "//\n" && program.Len() > 0 {
			program.WriteString("\n")
		}
	}
	if !strings.Contains(string(compiled), strings.TrimSpace(program.String())) {
		t.Errorf("example_test.go does not have\n%s", &program)
	}
}
