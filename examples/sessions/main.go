// Command sessions publishes each visit to a site when later clicks of its
// partition show that it is over, with the name of the visitor's country. On a
// Kafka that has the topics clicks, countries and visits, type:
//
//	export TIDEMARK_BROKERS=localhost:9092
//	go run ./examples/sessions run &
//	go run ./examples/sessions send countries nz Aotearoa
//	go run ./examples/sessions send clicks ann '{"Country":"nz"}'
//	go run ./examples/sessions tables scan open-visits
package main

import (
	"time"

	"github.com/tidemark-dev/tidemark/cmd"
	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

// A Click of a visitor, and a Visit of clicks less than half an hour apart.
type (
	Click struct{ Country string }
	Visit struct {
		Clicks  int
		Country string
	}
	visitor = topology.Windowed[string]
)

var (
	clicks    = topology.Topic[string, Click]{Name: "clicks", Key: codec.String{}, Value: codec.JSON[Click]{}}
	countries = topology.Topic[string, string]{Name: "countries", Key: codec.String{}, Value: codec.String{}}
	visits    = topology.Topic[string, Visit]{Name: "visits", Key: codec.String{}, Value: codec.JSON[Visit]{}}
	open      = topology.Store[visitor, Visit]{Name: "open-visits", Value: codec.JSON[Visit]{}, Merge: together}
	over      = topology.Store[visitor, Visit]{Name: "visits-to-publish"}
	names     = topology.Store[string, string]{Name: "country-names"}
)

func build() (*topology.Topology, error) {
	b := topology.NewBuilder("sessions")
	known := topology.Broadcast(b, countries, names)
	apart := topology.Window(topology.Consume(b, clicks), topology.Session{Gap: 30 * time.Minute, Grace: 5 * time.Minute})
	all := topology.Aggregate(apart, open, func(_ visitor, c Click, v Visit) Visit { return Visit{v.Clicks + 1, c.Country} })
	ended := topology.NewValues(topology.Suppress(all, over, topology.Until{Closed: true}))
	named := topology.JoinGlobal(ended, known, func(_ visitor, v Visit) (string, bool) { return v.Country, true }, topology.Left(name))
	topology.Publish(topology.Unwindow(named), visits)
	return b.Build()
}

func together(_ visitor, a, b Visit) Visit { return Visit{a.Clicks + b.Clicks, b.Country} }

func name(_ visitor, v Visit, country *string) Visit {
	if country != nil {
		v.Country = *country
	}
	return v
}

func main() { cmd.Main(cmd.Program{Build: build}) }
