package topology

import (
	"bytes"
	"encoding/binary"
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

// An encoded windowed key is the bytes of the key, each 0x00 followed by 0xFF,
// then 0x00 0x00, then start and end. No key's bytes are so the prefix of
// another's, and the order of keys stays.
const (
	escape      = 0x00
	escaped     = 0xFF
	terminator  = 0x00
	windowBytes = 16     // of start and end
	keyOverhead = 2 + 16 // of a key without zeros
)

var errNoWindow = errors.New("not a windowed key")

// Encode cuts times to milliseconds.
func (c WindowedCodec[K]) Encode(w Windowed[K]) ([]byte, error) {
	if c.Key == nil {
		return nil, errors.New("WindowedCodec has no codec for its Key")
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
		return nil, errors.New("WindowedCodec has no codec for its Key")
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

// appendKey appends a key as it stands before its window.
func appendKey(to, key []byte) []byte {
	for {
		i := bytes.IndexByte(key, escape)
		if i < 0 {
			break
		}
		to = append(append(to, key[:i]...), escape, escaped)
		key = key[i+1:]
	}
	return append(append(to, key...), escape, terminator)
}

func appendWindow(to []byte, start, end int64) []byte {
	return binary.BigEndian.AppendUint64(appendStart(to, start), sortable(end))
}

func appendStart(to []byte, start int64) []byte {
	return binary.BigEndian.AppendUint64(to, sortable(start))
}

// sortable maps integers to unsigned ones of the same order.
func sortable(v int64) uint64 { return uint64(v) ^ 1<<63 }

// windowOf returns start and end of an encoded windowed key, in milliseconds.
func windowOf(data []byte) (start, end int64) {
	w := data[len(data)-windowBytes:]
	return int64(binary.BigEndian.Uint64(w) ^ 1<<63), int64(binary.BigEndian.Uint64(w[8:]) ^ 1<<63)
}

// startKey returns where the windows of a key lie that begin at some time.
func startKey(prefix []byte, start int64) []byte {
	return appendStart(append(make([]byte, 0, len(prefix)+windowBytes/2), prefix...), start)
}

// prefixOf returns what the windows of one key have in common.
func prefixOf(data []byte) []byte { return data[:len(data)-windowBytes] }

// keyOf returns the bytes of the key within an encoded windowed key: a part of
// data if nothing was escaped.
func keyOf(data []byte) ([]byte, error) {
	end := len(data) - windowBytes - 2
	if end < 0 || data[end] != escape || data[end+1] != terminator {
		return nil, fmt.Errorf("%w: %q", errNoWindow, data)
	}
	key := data[:end]
	if bytes.IndexByte(key, escape) < 0 {
		return key, nil
	}
	plain := make([]byte, 0, len(key))
	for i := 0; i < len(key); i++ {
		plain = append(plain, key[i])
		if key[i] != escape {
			continue
		}
		if i++; i == len(key) || key[i] != escaped {
			return nil, fmt.Errorf("%w: %q", errNoWindow, data)
		}
	}
	return plain, nil
}
