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
	policies Policies
	texts    texts
	handle   any // Store[K, V], with its codecs
	from     any // Topic[K, V]
}

// Broadcast keeps a topic on every instance, which has read all of it before
// the first record is processed.
func Broadcast[K, V any](b *Builder, from Topic[K, V], rows Store[K, V]) GlobalTable[K, V] {
	if b == nil {
		return GlobalTable[K, V]{}
	}
	b.ready()
	if err := from.check(); err != nil {
		b.errs = append(b.errs, err)
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
	g := &global{node: b.add("global table " + rows.Name), Global: Global{Store: rows.Name, Topic: from.Name}, policies: from.Policies, handle: rows, from: from}
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
