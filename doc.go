// Package tidemark holds nothing but this text: stateful stream processing on
// Kafka, exactly once, with tables that can be queried and are mirrored to Redis.
//
// A program says what it reads, keeps and writes, and lets cmd do the rest:
//
//	var (
//		clicks = topology.Topic[string, string]{Name: "clicks", Key: codec.String{}, Value: codec.String{}}
//		counts = topology.Store[string, int64]{Name: "click-counts"}
//	)
//
//	func build() (*topology.Topology, error) {
//		b := topology.NewBuilder("clicks")
//		table := topology.Count(topology.Consume(b, clicks), counts)
//		topology.Sync(table, &redis.Sink{Addr: "localhost:6379"})
//		return b.Build()
//	}
//
//	func main() { cmd.Main(cmd.Program{Build: build}) }
//
// It is run by `go run . run --brokers localhost:9092` on a Kafka that has the topic
// clicks. In Redis click-counts:ann is then the number of ann's clicks, and
// http://localhost:9610/ shows the table.
//
// Package topology has the verbs, topology/topologytest tests what they make without
// a server, processor runs it within a program with a main of its own, sinks and
// codec are what it writes to and with. The folder examples has four programs.
package tidemark
