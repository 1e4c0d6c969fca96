// Command wordcount counts the words of lines and keeps the counts in Redis.
// Type:
//
//	go run ./examples/wordcount demo       # on servers of its own
//
// or, on a Kafka that has the topic lines and on a Redis,
//
//	go run ./examples/wordcount run --brokers localhost:9092 --redis localhost:6379 &
//	go run ./examples/wordcount send lines first 'the tide, the ebb' --brokers localhost:9092
//	redis-cli get word-counts:the          # 2
package main

import (
	"flag"
	"strings"
	"unicode"

	"github.com/tidemark-dev/tidemark/cmd"
	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor/embedded"
	"github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

var (
	lines   = topology.Topic[string, string]{Name: "lines", Key: codec.String{}, Value: codec.String{}}
	words   = topology.Topic[string, string]{Name: "words"}
	counts  = topology.Store[string, int64]{Name: "word-counts"}
	address = flag.String("redis", "localhost:6379", "`address` of Redis")
)

func build() (*topology.Topology, error) {
	b := topology.NewBuilder("wordcount")
	each := topology.FlatMap(topology.Consume(b, lines), split)
	same := topology.Repartition(topology.As(each, codec.String{}), words) // one word, one partition
	topology.Sync(topology.Count(same, counts), &redis.Sink{Addr: *address})
	return b.Build()
}

func split(_, line string, emit func(string, string)) {
	for word := range strings.FieldsFuncSeq(strings.ToLower(line), func(r rune) bool { return !unicode.IsLetter(r) }) {
		emit(word, word)
	}
}

// sample is the i-th line of the demo.
func sample(i int) (topology.Raw, error) {
	return lines.Encode("", []string{"The tide comes in,", "the ebb goes out;", "time and tide wait for no one."}[i%3])
}

func main() {
	cmd.Main(cmd.Program{Build: build, Demo: cmd.Demo{Start: embedded.Start, Record: sample}})
}
