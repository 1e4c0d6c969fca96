//go:build unix

package main

import (
	"context"
	"maps"
	"slices"

	"github.com/IBM/sarama"

	"github.com/tidemark-dev/tidemark/internal/proof/orders"
	"github.com/tidemark-dev/tidemark/internal/proof/referee"
	redissink "github.com/tidemark-dev/tidemark/sinks/redis"
	"github.com/tidemark-dev/tidemark/topology"
)

// The shop is the workload that is no row of numbers: the program of
// internal/proof/orders. What it must hold, its ledger says of the topics that it reads.
const (
	shopName  = "shop"
	shopAbout = "orders, payments, customers, products, clicks → joins, windows, a repartition → two output topics, Redis"
)

func newShop(run string) *orders.Shop { return orders.NewShop(run + "-shop-") }

// declareShop adds the shop to a topology.
func declareShop(b *topology.Builder, run, redis string) {
	newShop(run).Declare(b, func() topology.Sink { return &redissink.Sink{Addr: redis} })
}

// message is a record as the producer sends it.
func message(r topology.Raw) *sarama.ProducerMessage {
	m := &sarama.ProducerMessage{Topic: r.Topic, Key: sarama.ByteEncoder(r.Key), Timestamp: r.Time}
	if r.Value != nil {
		m.Value = sarama.ByteEncoder(r.Value)
	}
	return m
}

// shopExpected reads what the shop reads, and returns what follows from it.
func shopExpected(ctx context.Context, c *referee.Cluster, s *orders.Shop) (want orders.Books, records int, err error) {
	ledger := orders.NewLedger(s)
	for _, topic := range s.Inputs() {
		err := c.Read(ctx, topic, func(r topology.Raw) error {
			records++
			return ledger.Add(r)
		})
		if err != nil {
			return want, 0, err
		}
	}
	return ledger.Books(), records, nil
}

// shopInKafka returns what changelogs and outputs hold.
func shopInKafka(ctx context.Context, c *referee.Cluster, s *orders.Shop, run string) (orders.Books, error) {
	got := orders.NewBooks()
	for _, store := range s.Tables() {
		err := c.Read(ctx, run+"-"+store+"-table", func(r topology.Raw) error {
			r.Topic = store
			return got.Add(s, r)
		})
		if err != nil {
			return got, err
		}
	}
	return got, shopOutputs(ctx, c, s, got)
}

// shopOutputs adds the records of the outputs.
func shopOutputs(ctx context.Context, c *referee.Cluster, s *orders.Shop, to orders.Books) error {
	for _, topic := range s.Outputs() {
		if err := c.Read(ctx, topic, func(r topology.Raw) error { return to.Add(s, r) }); err != nil {
			return err
		}
	}
	return nil
}

// shopInRedis returns the tables that Redis holds.
func shopInRedis(ctx context.Context, t *referee.Target, s *orders.Shop) (orders.Books, error) {
	got := orders.NewBooks()
	texts, err := s.Topology(nil)
	if err != nil {
		return got, err
	}
	for _, store := range s.Tables() {
		prefix := store + ":"
		keys, err := t.Keys(ctx, prefix)
		if err != nil {
			return got, err
		}
		var wrong error
		err = t.Values(ctx, keys, func(i int, value []byte) {
			r, err := texts.Parse(store, keys[i][len(prefix):], value)
			if err == nil {
				err = got.Add(s, r)
			}
			if err != nil {
				wrong = err
			}
		})
		if err != nil {
			return got, err
		}
		if wrong != nil {
			return got, wrong
		}
	}
	return got, nil
}

// shopBehind returns how many rows of Redis, or else how many records of the
// outputs are not right yet.
func shopBehind(ctx context.Context, c *referee.Cluster, t *referee.Target, s *orders.Shop, want orders.Books) (n int, err error) {
	got, err := shopInRedis(ctx, t, s)
	if err != nil {
		return 0, err
	}
	for _, v := range compareTables("redis", want, got) {
		n += v.sum()
	}
	if n > 0 {
		return n, nil
	}
	if err := shopOutputs(ctx, c, s, got); err != nil {
		return 0, err
	}
	for _, v := range compareOutputs(want, got) {
		n += v.sum()
	}
	return n, nil
}

// compareTables judges the tables of a place.
func compareTables(place string, want, got orders.Books) []verdict {
	return []verdict{
		compareCounts("shop hourly "+place, want.Hourly, got.Hourly),
		compareValues("shop priced "+place, want.Priced, got.Priced),
		compareCounts("shop visits "+place, clicks(want.Visits), clicks(got.Visits)),
	}
}

// compareOutputs judges the output topics.
func compareOutputs(want, got orders.Books) []verdict {
	return []verdict{compareRecords("shop letters", want.Letters, got.Letters), compareRecords("shop receipts", want.Receipts, got.Receipts)}
}

func clicks(visits map[topology.Windowed[string]]orders.Visit) map[topology.Windowed[string]]int64 {
	counts := map[topology.Windowed[string]]int64{}
	for window, v := range visits {
		counts[window] = v.Clicks
	}
	return counts
}

// either returns the keys that one of two maps has.
func either[K comparable, V any](a, b map[K]V) []K {
	all := make(map[K]V, len(a))
	maps.Copy(all, a)
	maps.Copy(all, b)
	return slices.Collect(maps.Keys(all))
}

// compareCounts judges rows that are numbers of records.
func compareCounts[K comparable](place string, want, got map[K]int64) verdict {
	v := verdict{Place: place}
	for _, key := range either(want, got) {
		w, g := want[key], got[key]
		switch {
		case w == g:
			continue
		case w == 0:
			v.Wrong++
		case g > w:
			v.Doubled += g - w
		default:
			v.Lost += w - g
		}
		v.example("%v: %d, not %d", key, g, w)
	}
	return v
}

// compareValues judges rows that are replaced.
func compareValues[K, V comparable](place string, want, got map[K]V) verdict {
	v := verdict{Place: place}
	for _, key := range either(want, got) {
		w, wanted := want[key]
		g, there := got[key]
		switch {
		case w == g && wanted == there:
			continue
		case !there:
			v.Lost++
			v.example("%v is missing, and should be %v", key, w)
		case !wanted:
			v.Wrong++
			v.example("%v is %v, and should not be there", key, g)
		default:
			v.Wrong++
			v.example("%v is %v, and should be %v", key, g, w)
		}
	}
	return v
}

// compareRecords judges an output: how often each value is there for a key.
func compareRecords[V comparable](place string, want, got map[string]map[V]int) verdict {
	v := verdict{Place: place}
	for _, key := range either(want, got) {
		for _, value := range either(want[key], got[key]) {
			w, g := want[key][value], got[key][value]
			switch {
			case w == g:
				continue
			case w == 0:
				v.Wrong += int64(g)
			case g > w:
				v.Doubled += int64(g - w)
			default:
				v.Lost += int64(w - g)
			}
			v.example("%s: %v is there %d times, and should be %d times", key, value, g, w)
		}
	}
	return v
}
