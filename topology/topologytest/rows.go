package topologytest

import (
	"bytes"
	"slices"

	"github.com/tidemark-dev/tidemark/topology"
)

// Rows returns what a store, or a global table, holds. Times within keys are as
// their codec decodes them, mostly in UTC: see [Row].
func Rows[K comparable, V any](d *Driver, of topology.Store[K, V]) map[K]V {
	d.t.Helper()
	of, err := of.In(d.topo)
	if err != nil {
		d.t.Fatal(err)
	}
	rows := map[K]V{}
	for _, raw := range d.rows(of.Name) {
		key, err := of.Key.Decode(raw.Key)
		if err != nil {
			d.t.Fatalf("store %q: decode key %q: %v", of.Name, raw.Key, err)
		}
		if rows[key], err = of.Value.Decode(raw.Value); err != nil {
			d.t.Fatalf("store %q: row %q: decode value: %v", of.Name, raw.Key, err)
		}
	}
	return rows
}

// Row returns one row of a store, or of a global table; ok is false if there is
// none. The key is compared as its codec writes it: so rows with times in their
// keys are found whatever the Location of the times is, where Rows has them in UTC.
func Row[K, V any](d *Driver, of topology.Store[K, V], key K) (value V, ok bool) {
	d.t.Helper()
	of, err := of.In(d.topo)
	if err != nil {
		d.t.Fatal(err)
	}
	data, err := of.Key.Encode(key)
	if err != nil {
		d.t.Fatalf("store %q: encode key %v: %v", of.Name, key, err)
	}
	for _, raw := range d.rows(of.Name) {
		if !bytes.Equal(raw.Key, data) {
			continue
		}
		if value, err = of.Value.Decode(raw.Value); err != nil {
			d.t.Fatalf("store %q: row %q: decode value: %v", of.Name, raw.Key, err)
		}
		return value, true
	}
	return value, false
}

// rows returns the rows of a store, of all partitions.
func (d *Driver) rows(name string) (rows []topology.Row) {
	for _, k := range d.tasks {
		if s, ok := k.stores[name]; ok {
			rows = append(rows, s.rows...)
		}
	}
	if s, ok := d.globals[name]; ok {
		rows = append(rows, s.rows...)
	}
	return rows
}

// Received returns the records published to a topic since the last call, in the
// order of their publication. A nil Value is a tombstone. For a topic that Route
// has chosen, which the topology does not know, the codecs are those of from.
func Received[K, V any](d *Driver, from topology.Topic[K, V]) []topology.Record[K, *V] {
	d.t.Helper()
	from = received(d, from)
	var err error
	var records []topology.Record[K, *V]
	for _, raw := range d.published[from.Name] {
		r := topology.Record[K, *V]{Time: raw.Time, Headers: raw.Headers, Position: raw.Position}
		if raw.Key != nil {
			if r.Key, err = from.Key.Decode(raw.Key); err != nil {
				d.t.Fatalf("record %s: decode key: %v", raw.Position, err)
			}
		}
		if raw.Value != nil {
			value, err := from.Value.Decode(raw.Value)
			if err != nil {
				d.t.Fatalf("record %s: decode value: %v", raw.Position, err)
			}
			r.Value = &value
		}
		records = append(records, r)
	}
	delete(d.published, from.Name)
	return records
}

// received returns a topic with its codecs.
func received[K, V any](d *Driver, from topology.Topic[K, V]) topology.Topic[K, V] {
	d.t.Helper()
	if from.Key != nil && from.Value != nil && !slices.Contains(d.topo.Topics(), from.Name) {
		return from
	}
	known, err := from.In(d.topo)
	if err != nil {
		d.t.Fatalf("%v; a topic of Route needs both codecs here", err)
	}
	return known
}
