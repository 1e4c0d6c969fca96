package topology

import (
	"fmt"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
)

// Windowed reports whether the keys of a store are windowed.
func (t *Topology) Windowed(store string) bool { return t.stores[store].windows != nil }

// Prefix returns the range of a store's rows, from <= row < to, whose keys begin
// with a text. In a windowed store the text begins the key without its window.
// A nil to has no end.
func (t *Topology) Prefix(store, text string) (from, to []byte, err error) {
	x, ok := t.stores[store]
	if !ok {
		return nil, nil, t.noStore(store)
	}
	prefix, err := x.prefix(text)
	if err != nil {
		return nil, nil, fmt.Errorf("store %q: prefix %q: %w", store, text, err)
	}
	return prefix, codec.PrefixEnd(prefix), nil
}

// Windows returns the range of a windowed store's rows, from <= row < to, that are
// the windows of a key with since <= start < until. A zero time is no bound. The
// key is text as Format prints it, without the window.
func (t *Topology) Windows(store, key string, since, until time.Time) (from, to []byte, err error) {
	x, ok := t.stores[store]
	switch {
	case !ok:
		return nil, nil, t.noStore(store)
	case x.windows == nil:
		return nil, nil, fmt.Errorf("store %q has no windows", store)
	case !since.IsZero() && !until.IsZero() && !since.Before(until):
		return nil, nil, fmt.Errorf("store %q: no window begins from %v on and before %v", store, since, until)
	}
	if from, to, err = x.windows(key, since, until); err != nil {
		return nil, nil, fmt.Errorf("store %q: key %q: %w", store, key, err)
	}
	return from, to, nil
}

func (t *Topology) noStore(name string) error {
	return fmt.Errorf("%q: application %q has no such store, it has %s", name, t.application, quoted(t.Stores()))
}

// plainPrefix is the bytes that keys begin with whose text begins so.
func plainPrefix[K any](c codec.Codec[K], text string) ([]byte, error) {
	if text == "" {
		return []byte{}, nil
	}
	return parseKey(c, text)
}
