package wire

import (
	"errors"
	"fmt"
)

// A windowed key is the key as AppendKey writes it, then start and end of its window.
const (
	windowBytes = 16     // of start and end
	keyOverhead = 2 + 16 // of a key without zeros
)

var errNoWindow = errors.New("not a windowed key")

// WindowKey returns a key within a window.
func WindowKey(key []byte, start, end int64) []byte {
	return AppendWindow(AppendKey(make([]byte, 0, len(key)+keyOverhead), key), start, end)
}

// AppendWindow appends a window to a key that AppendKey has written.
func AppendWindow(to []byte, start, end int64) []byte {
	return AppendTime(AppendTime(to, start), end)
}

// WindowOf returns start and end of a windowed key, in milliseconds.
func WindowOf(data []byte) (start, end int64) {
	w := data[len(data)-windowBytes:]
	start, w, _ = CutTime(w)
	end, _, _ = CutTime(w)
	return start, end
}

// WindowPrefix returns what the windows of one key have in common.
func WindowPrefix(data []byte) []byte { return data[:len(data)-windowBytes] }

// WindowStart returns where the windows of a key lie that begin at some time.
func WindowStart(prefix []byte, start int64) []byte {
	return AppendTime(append(make([]byte, 0, len(prefix)+windowBytes/2), prefix...), start)
}

// WindowedKey returns the bytes of the key within a windowed key: a part of data if
// nothing was escaped.
func WindowedKey(data []byte) ([]byte, error) {
	key, window, ok := CutKey(data)
	if !ok || len(window) != windowBytes {
		return nil, fmt.Errorf("%w: %q", errNoWindow, data)
	}
	return key, nil
}
