package topology

import "github.com/tidemark-dev/tidemark/codec"

// Derive computes a table row by row. A row for which ok is false, or w is nil, is
// not in it: it is deleted if it was. Of a row that was not there and is not there,
// nothing is written and nobody is told. A row has the time of the record that
// changed the row it is made of.
func Derive[K, V, W any](t Table[K, V], rows Store[K, W], fn func(K, V) (w W, ok bool)) Table[K, W] {
	b, up := t.upstream()
	values, _ := any(up.value).(codec.Codec[W])
	table, down, rows := tableOf(b, up, "derive", rows, values)
	b.needs(down.node, fn == nil)
	up.feed(down.node, func(k *Task) step[K, V] {
		put, r := startTable(k, down, table), k.store(table)
		made := newItem[K, W](nil, rows.Value)
		return func(it *item[K, V]) error {
			if filed, err := it.file(k, down.node, rows.Key); !filed {
				return err
			}
			if err := derive(k, down.node, it, made, fn); err != nil {
				return err
			}
			follow(made, it)
			if !made.value.missing {
				data, err := made.value.encoded(k, down.node, rows.Value, true)
				if err != nil {
					return err
				}
				return put(made, data, true)
			}
			if was, _, err := r.get(it.key.data); was == nil {
				return err
			}
			return put(made, nil, true)
		}
	})
	return Table[K, W]{b, down, table}
}

// derive computes a row, missing if there is none.
func derive[K, V, W any](k *Task, at *node, it *item[K, V], made *item[K, W], fn func(K, V) (W, bool)) error {
	made.value.load(nil)
	if it.value.missing {
		return nil
	}
	if _, err := it.look(k, at); err != nil {
		return err
	}
	if it.value.missing { // a nil that was not known to be one
		return nil
	}
	if w, ok := fn(it.key.v, it.value.v); ok {
		made.value.set(w, nil)
	}
	return nil
}
