package wire

import (
	"encoding/binary"
	"errors"
)

// A Header is a header of a record.
type Header interface {
	~struct {
		Key   string
		Value []byte
	}
}

// A Held is a change that is held back: since when, in milliseconds, and what it is.
// The Value is nil for a deletion.
type Held[H Header] struct {
	Since   int64
	Headers []H
	Value   []byte
}

// Encode writes the time, the value, and the headers, each as key and value.
func (h Held[H]) Encode() []byte {
	data := AppendTime(make([]byte, 0, 16+len(h.Value)), h.Since)
	data = appendBytes(data, h.Value)
	for _, h := range h.Headers {
		header := struct {
			Key   string
			Value []byte
		}(h)
		data = appendBytes(appendBytes(data, []byte(header.Key)), header.Value)
	}
	return data
}

// HeldSince reads the time only.
func HeldSince(data []byte) int64 {
	since, _, _ := CutTime(data)
	return since
}

// DecodeHeld reads what Encode wrote. It shares its bytes.
func DecodeHeld[H Header](data []byte) (h Held[H], err error) {
	var ok bool
	if h.Since, data, ok = CutTime(data); ok {
		h.Value, data, ok = cutBytes(data)
	}
	for ok && len(data) > 0 {
		var key []byte
		var header struct {
			Key   string
			Value []byte
		}
		if key, data, ok = cutBytes(data); ok {
			header.Key = string(key)
			header.Value, data, ok = cutBytes(data)
		}
		h.Headers = append(h.Headers, H(header))
	}
	if !ok {
		return Held[H]{}, errors.New("this is no change that is held back")
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
