package topology

import "github.com/tidemark-dev/tidemark/codec"

// A GlobalTable holds all partitions of a topic on every instance.
type GlobalTable[K, V any] struct {
	b *Builder
	g *global
	k codec.Codec[K]
	v codec.Codec[V]
}

// A global is a global table without its types.
type global struct {
	*node
	Global
	texts  texts
	handle any // Store[K, V], with its codecs
	from   any // Topic[K, V]
}

// Row returns what a record of the topic makes of the table; ok is false for one
// without a key, which makes nothing. The error is a *RecordError if the table's
// codecs refuse the record.
func (g *Global) Row(r Raw, application Policies) (row Row, ok bool, err error) {
	if r.Key == nil {
		return Row{}, false, nil
	}
	row = Row{Store: g.Store, Key: r.Key, Value: r.Value}
	missing, err := g.read(r.Key, r.Value)
	if err == nil {
		row.Time, err = recordTime(r.Time)
	}
	if err != nil {
		return Row{}, false, &RecordError{Position: r.Position, Node: "global table " + g.Store, Policy: g.policies.or(application).Decode, Err: err}
	}
	if missing {
		row.Value = nil
	}
	return row, true, nil
}

// Broadcast keeps a topic on every instance, which has read all of it before
// the first record is processed. Records that a codec refuses are left out if the
// topic's policy is Skip or DeadLetter: each instance would send them there.
func Broadcast[K, V any](b *Builder, from Topic[K, V], rows Store[K, V]) GlobalTable[K, V] {
	b.given().ready()
	if err := from.check(); err != nil {
		b.note(err)
	}
	if err := checkName("store", rows.Name); err != nil {
		b.wrong("global table of topic %s: %w", from.Name, err)
	}
	if rows.Key == nil {
		rows.Key = from.Key
	}
	if rows.Value == nil {
		rows.Value = from.Value
	}
	g := &global{
		node:   b.add("global table " + rows.Name),
		Global: Global{Store: rows.Name, Topic: from.Name, policies: from.Policies, read: reader(from.Key, from.Value)},
		handle: rows,
		from:   from,
	}
	rows.notFolded(b, g.name)
	g.source, g.global = true, true
	if from.Key != nil && from.Value != nil {
		if !sameCodec(rows.Key, from.Key) || !sameCodec(rows.Value, from.Value) {
			b.wrong("store %q: a global table has the codecs of its topic %q", rows.Name, from.Name)
		}
		g.texts = newTexts(rows.Key, rows.Value)
	}
	if _, twice := b.globals[rows.Name]; twice {
		b.wrong("store %q: two global tables are kept in it", rows.Name)
	}
	b.globals[rows.Name] = g
	return GlobalTable[K, V]{b, g, rows.Key, rows.Value}
}

// reader returns what reads a record of a global table as functions will, so that
// none of them meets one that cannot be read.
func reader[K, V any](keys codec.Codec[K], values codec.Codec[V]) func(key, value []byte) (missing bool, err error) {
	return func(key, value []byte) (missing bool, err error) {
		k, v := newCell("key", keys), newCell("value", values)
		k.load(key)
		v.load(value)
		if err := k.decode(); err != nil {
			return false, err
		}
		err = v.decode()
		return v.missing, err
	}
}
