package redis

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strconv"

	"github.com/tidemark-dev/tidemark/topology"
)

// A layout is how one partition of a table lies in Redis: the names of its keys,
// and how its rows are written.
type layout struct {
	from   topology.Source
	prefix string // of all rows
	owner  string
	fence  string
	index  string // "" if names are read back
	format string // its name, in the fence

	key   func(to, key []byte) ([]byte, error)    // nil for bytes
	parse func(text []byte) (key []byte, e error) // nil for bytes
	value func(to, value []byte) ([]byte, error)  // nil for bytes
}

func (r *Sink) layout(from topology.Source) layout {
	category := keyEscaper.Replace(r.category(from.Table))
	l := layout{
		from: from, prefix: category + ":", // no prefix begins with another: a category has no colon without a backslash
		owner: reserved + ":owner:" + category, fence: r.fence(from),
	}
	if f := from.Format; f != nil && !r.Raw {
		l.key, l.parse, l.value = f.Key, f.ParseKey, f.Value
	}
	if r.Key != nil {
		l.index = reserved + ":keys:" + category
		l.key = func(to, key []byte) ([]byte, error) {
			text, err := r.Key(key)
			return append(to, text...), err
		}
	}
	if r.Value != nil {
		l.value = func(to, value []byte) ([]byte, error) {
			text, err := r.Value(value)
			return append(to, text...), err
		}
	}
	switch {
	case r.Key != nil || r.Value != nil:
		l.format = "own " + r.Version
	case l.key == nil && l.value == nil:
		l.format = "raw"
	default:
		l.format = "text"
	}
	return l
}

// fence returns the key of a partition's epoch and position. It is no row's key,
// because no row is of the category "tidemark".
func (r *Sink) fence(of topology.Source) string {
	name := reserved + ":fence:" + keyEscaper.Replace(of.Table) + ":"
	if category := r.category(of.Table); category != of.Table {
		name += keyEscaper.Replace(category) + ":"
	}
	return name + strconv.Itoa(int(of.Partition))
}

// appendName appends the name of a row.
func (l *layout) appendName(to, key []byte) ([]byte, error) {
	to = append(to, l.prefix...)
	if l.key == nil {
		return append(to, key...), nil
	}
	return l.key(to, key)
}

// keys yields what lies under the names of a table.
func (s *server) keys(ctx context.Context, l layout) iter.Seq2[topology.Held, error] {
	return func(yield func(topology.Held, error) bool) {
		match := globEscaper.Replace(l.prefix) + "*"
		for cursor := uint64(0); ; {
			names, next, err := s.client.Scan(ctx, cursor, match, 1000).Result()
			var rows []any
			if err == nil && l.index != "" && len(names) > 0 {
				rows, err = s.client.HMGet(ctx, l.index, names...).Result()
			}
			if err != nil {
				yield(topology.Held{}, err)
				return
			}
			for i, name := range names {
				held := topology.Held{Name: []byte(name)}
				if l.index == "" {
					held.Key = l.keyOf(held.Name)
				} else if row, ok := rows[i].(string); ok {
					held.Key = l.indexed(held.Name, row)
				}
				if !yield(held, nil) {
					return
				}
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
		if l.index != "" {
			s.indexed(ctx, l, yield)
		}
	}
}

// indexed yields what the index knows, also of names that are gone.
func (s *server) indexed(ctx context.Context, l layout, yield func(topology.Held, error) bool) {
	for cursor := uint64(0); ; {
		pairs, next, err := s.client.HScan(ctx, l.index, cursor, "", 1000).Result()
		if err != nil {
			yield(topology.Held{}, err)
			return
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			name := []byte(pairs[i])
			if !yield(topology.Held{Name: name, Key: l.indexed(name, pairs[i+1])}, nil) {
				return
			}
		}
		if cursor = next; cursor == 0 {
			return
		}
	}
}

// keyOf returns the key of the row that has a name, nil if none can have it.
func (l *layout) keyOf(name []byte) []byte {
	text := name[len(l.prefix):]
	if l.parse == nil {
		return text
	}
	key, err := l.parse(text)
	if err != nil {
		return nil
	}
	return key
}

// indexed returns the key of the row that has a name in the index, nil if the row
// has another name by now.
func (l *layout) indexed(name []byte, row string) []byte {
	key := []byte(row)[min(1, len(row)):]
	if now, err := l.appendName(nil, key); err != nil || !bytes.Equal(now, name) {
		return nil
	}
	return key
}

// foreign says whose a target is, from what a script has answered.
func (l *layout) foreign(owner []string) error {
	of := topology.Owner{Application: owner[0], Cluster: owner[1]}
	return fmt.Errorf("%w: %q is of table %q of %s, and this is table %q of %s: set Category to another or use another database; to hand it over, stop the other one and delete the key %q",
		topology.ErrForeign, l.prefix+"*", owner[2], of, l.from.Table, l.from.Owner, l.owner)
}
