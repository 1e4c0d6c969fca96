package topology

import (
	"encoding/binary"
	"errors"
)

// A heldRow is a change that is held back: since when, in milliseconds, and what
// it is. The value is nil for a deletion.
type heldRow struct {
	since   int64
	headers []Header
	value   []byte
}

// encode writes the time, the value, and the headers, each as key and value.
func (h heldRow) encode() []byte {
	data := appendTime(make([]byte, 0, 16+len(h.value)), h.since)
	data = appendBytes(data, h.value)
	for _, header := range h.headers {
		data = appendBytes(appendBytes(data, []byte(header.Key)), header.Value)
	}
	return data
}

// heldSince reads the time only.
func heldSince(data []byte) int64 {
	since, _, _ := cutTime(data)
	return since
}

// decodeHeld reads what encode wrote. It shares its bytes.
func decodeHeld(data []byte) (h heldRow, err error) {
	var ok bool
	if h.since, data, ok = cutTime(data); ok {
		h.value, data, ok = cutBytes(data)
	}
	for ok && len(data) > 0 {
		var key []byte
		var header Header
		if key, data, ok = cutBytes(data); ok {
			header.Key = string(key)
			header.Value, data, ok = cutBytes(data)
		}
		h.headers = append(h.headers, header)
	}
	if !ok {
		return heldRow{}, errors.New("this is no change that is held back")
	}
	return h, nil
}

// appendBytes appends bytes that may be nil, with their length before them.
func appendBytes(to, b []byte) []byte {
	if b == nil {
		return append(to, 0)
	}
	return append(binary.AppendUvarint(to, uint64(len(b))+1), b...)
}

// cutBytes returns what appendBytes has appended, and what follows.
func cutBytes(data []byte) (b, rest []byte, ok bool) {
	n, size := binary.Uvarint(data)
	if size <= 0 || n > uint64(len(data)-size)+1 {
		return nil, nil, false
	}
	data = data[size:]
	if n == 0 {
		return nil, data, true
	}
	return data[: n-1 : n-1], data[n-1:], true
}
