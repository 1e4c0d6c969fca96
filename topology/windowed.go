package topology

import (
	"errors"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology/internal/wire"
)

// A Windowed is a key within a window. Tumbling and hopping windows exclude End,
// sliding and session windows include it. Times are whole milliseconds.
type Windowed[K any] struct {
	Key   K         `json:"key"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// WindowedCodec stores windowed keys by key, then start, then end, so that the
// windows of one key are neighbours in the order of their starts. It is the
// default of windowed tables; a topic of such keys names it. Records and rows
// lie in the partition of Key alone.
type WindowedCodec[K any] struct{ Key codec.Codec[K] }

var errNoInner = errors.New("WindowedCodec has no codec for its Key")

// Encode cuts times to milliseconds.
func (c WindowedCodec[K]) Encode(w Windowed[K]) ([]byte, error) {
	if c.Key == nil {
		return nil, errNoInner
	}
	key, err := c.Key.Encode(w.Key)
	if err != nil {
		return nil, err
	}
	return wire.WindowKey(key, millis(w.Start), millis(w.End)), nil
}

// Decode returns times in UTC.
func (c WindowedCodec[K]) Decode(data []byte) (w Windowed[K], err error) {
	key, err := c.inner(data)
	if err != nil {
		return w, err
	}
	if w.Key, err = c.Key.Decode(key); err != nil {
		return w, err
	}
	start, end := wire.WindowOf(data)
	w.Start, w.End = timeOf(start), timeOf(end)
	return w, nil
}

// Check checks the window's form, and the key as its codec does.
func (c WindowedCodec[K]) Check(data []byte) error {
	key, err := c.inner(data)
	if err != nil {
		return err
	}
	if checker, ok := c.Key.(codec.Checker); ok {
		return checker.Check(key)
	}
	_, err = c.Key.Decode(key)
	return err
}

func (c WindowedCodec[K]) inner(data []byte) ([]byte, error) {
	if c.Key == nil {
		return nil, errNoInner
	}
	return wire.WindowedKey(data)
}

// partitionKey returns what decides about the partition of a windowed key: the
// key without its window. Of bytes that are none it is all of them.
func (c WindowedCodec[K]) partitionKey(data []byte) []byte {
	key, err := wire.WindowedKey(data)
	if err != nil {
		return data
	}
	return partitionKey(c.Key, key)
}

// keys returns the codec of the keys without their windows.
func (c WindowedCodec[K]) keys() any { return c.Key }
