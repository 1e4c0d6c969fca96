package orders

import (
	"fmt"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

// Books are what the tables and outputs of a shop hold. Of an output they say
// how often each value is there for a key: its order is that of the tasks.
type Books struct {
	Hourly   map[topology.Windowed[string]]int64
	Priced   map[string]Priced
	Visits   map[topology.Windowed[string]]Visit
	Letters  map[string]map[Letter]int
	Receipts map[string]map[Receipt]int
}

// NewBooks returns books in which nothing is written.
func NewBooks() Books {
	return Books{
		map[topology.Windowed[string]]int64{},
		map[string]Priced{},
		map[topology.Windowed[string]]Visit{},
		map[string]map[Letter]int{},
		map[string]map[Receipt]int{},
	}
}

// Add enters a record of one of the shop's outputs, or a row of a table: its
// Topic is the name of the store, and a row without a value is deleted.
func (b Books) Add(s *Shop, r topology.Raw) (err error) {
	windowed := topology.WindowedCodec[string]{Key: codec.String{}}
	switch r.Topic {
	case s.Hourly.Name:
		err = put(b.Hourly, windowed, codec.Int64{}, r)
	case s.Priced.Name:
		err = put(b.Priced, codec.String{}, s.Priced.Value, r)
	case s.Visits.Name:
		err = put(b.Visits, windowed, s.Visits.Value, r)
	case s.Letters.Name:
		err = count(b.Letters, s.Letters.Value, r)
	case s.Receipts.Name:
		err = count(b.Receipts, s.Receipts.Value, r)
	default:
		err = fmt.Errorf("the shop has no table and no output %q", r.Topic)
	}
	if err != nil {
		return fmt.Errorf("%s: key %q, value %q: %w", r.Position, r.Key, r.Value, err)
	}
	return nil
}

func put[K comparable, V any](rows map[K]V, keys codec.Codec[K], values codec.Codec[V], r topology.Raw) error {
	key, err := keys.Decode(r.Key)
	if err != nil {
		return err
	}
	if r.Value == nil {
		delete(rows, key)
		return nil
	}
	rows[key], err = values.Decode(r.Value)
	return err
}

func count[V comparable](all map[string]map[V]int, values codec.Codec[V], r topology.Raw) error {
	v, err := values.Decode(r.Value)
	note(all, string(r.Key), v)
	return err
}

func note[V comparable](all map[string]map[V]int, key string, v V) {
	if all[key] == nil {
		all[key] = map[V]int{}
	}
	all[key][v]++
}
