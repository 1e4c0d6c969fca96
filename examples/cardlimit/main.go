// Command cardlimit raises an alert when a card pays more in an hour than its
// limit allows. On a Kafka that has the topics payments, limits and alerts, with
// equal numbers of partitions, type:
//
//	export TIDEMARK_BROKERS=localhost:9092
//	go run ./examples/cardlimit run &
//	go run ./examples/cardlimit send limits card-1 10000
//	go run ./examples/cardlimit send payments card-1 '{"cents":12000,"at":"2026-11-25T08:00:00Z"}'
//	kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic alerts --from-beginning
package main

import (
	"time"

	"github.com/tidemark-dev/tidemark/cmd"
	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

type (
	// A Payment of a card, in cents.
	Payment struct {
		Cents int64     `json:"cents"`
		At    time.Time `json:"at"`
	}
	// Spent is what a card paid in an hour, before the last payment and with it.
	Spent struct{ Before, Cents, Limit int64 }
	// An Alert says that a card is over its limit.
	Alert struct {
		Hour         time.Time `json:"hour"`
		Cents, Limit int64
	}
	card = topology.Windowed[string]
)

var (
	payments = topology.Topic[string, Payment]{
		Name: "payments", Key: codec.String{}, Value: codec.JSON[Payment]{},
		Time: func(r topology.Record[string, Payment]) time.Time { return r.Value.At }, MaxAhead: time.Minute,
	}
	limits = topology.Topic[string, int64]{Name: "limits", Key: codec.String{}, Value: codec.JSON[int64]{}}
	alerts = topology.Topic[string, Alert]{Name: "alerts", Key: codec.String{}, Value: codec.JSON[Alert]{}}
	known  = topology.Store[string, int64]{Name: "card-limits"}
	hourly = topology.Store[card, Spent]{Name: "spent-each-hour", Value: codec.JSON[Spent]{}}
)

func build() (*topology.Topology, error) {
	b := topology.NewBuilder("cardlimit")
	limit := topology.Materialize(b, limits, known)
	limited := topology.Join(topology.Consume(b, payments), limit, topology.Inner(func(_ string, p Payment, limit int64) Spent { return Spent{0, p.Cents, limit} }))
	hours := topology.Window(limited, topology.Tumbling{Size: time.Hour, Grace: 10 * time.Minute})
	spent := topology.NewValues(topology.Aggregate(hours, hourly, func(_ card, p, s Spent) Spent { return Spent{s.Cents, s.Cents + p.Cents, p.Limit} }))
	over := topology.Filter(spent, func(_ card, s Spent) bool { return s.Before <= s.Limit && s.Cents > s.Limit }) // once an hour
	topology.Publish(topology.Map(over, func(c card, s Spent) (string, Alert) { return c.Key, Alert{c.Start, s.Cents, s.Limit} }), alerts)
	return b.Build()
}

func main() { cmd.Main(cmd.Program{Build: build}) }
