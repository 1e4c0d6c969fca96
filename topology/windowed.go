package topology

import (
	"errors"
	"fmt"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
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

// An encoded windowed key is the key as appendKey writes it, then start and end.
const (
	windowBytes = 16     // of start and end
	keyOverhead = 2 + 16 // of a key without zeros
)

var (
	errNoWindow = errors.New("not a windowed key")
	errNoInner  = errors.New("WindowedCodec has no codec for its Key")
)

// Encode cuts times to milliseconds.
func (c WindowedCodec[K]) Encode(w Windowed[K]) ([]byte, error) {
	if c.Key == nil {
		return nil, errNoInner
	}
	key, err := c.Key.Encode(w.Key)
	if err != nil {
		return nil, err
	}
	return appendWindow(appendKey(make([]byte, 0, len(key)+keyOverhead), key), millis(w.Start), millis(w.End)), nil
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
	start, end := windowOf(data)
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
	return keyOf(data)
}

// partitionKey returns what decides about the partition of a windowed key: the
// key without its window. Of bytes that are none it is all of them.
func (c WindowedCodec[K]) partitionKey(data []byte) []byte {
	key, err := keyOf(data)
	if err != nil {
		return data
	}
	return partitionKey(c.Key, key)
}

// keys returns the codec of the keys without their windows.
func (c WindowedCodec[K]) keys() any { return c.Key }

func appendWindow(to []byte, start, end int64) []byte {
	return appendTime(appendTime(to, start), end)
}

// windowOf returns start and end of an encoded windowed key, in milliseconds.
func windowOf(data []byte) (start, end int64) {
	w := data[len(data)-windowBytes:]
	start, w, _ = cutTime(w)
	end, _, _ = cutTime(w)
	return start, end
}

// startKey returns where the windows of a key lie that begin at some time.
func startKey(prefix []byte, start int64) []byte {
	return appendTime(append(make([]byte, 0, len(prefix)+windowBytes/2), prefix...), start)
}

// prefixOf returns what the windows of one key have in common.
func prefixOf(data []byte) []byte { return data[:len(data)-windowBytes] }

// keyOf returns the bytes of the key within an encoded windowed key: a part of
// data if nothing was escaped.
func keyOf(data []byte) ([]byte, error) {
	key, window, ok := cutKey(data)
	if !ok || len(window) != windowBytes {
		return nil, fmt.Errorf("%w: %q", errNoWindow, data)
	}
	return key, nil
}
