package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A change of a row is a byte that is the version, then the old side and the new one,
// each as its length plus 1, a varint, and its bytes; a side that is missing is one
// zero byte.
const changeVersion = 1

// ErrNoChange is the error for bytes that are not a change.
var ErrNoChange = errors.New("not a change of a row")

// JoinChange writes a change. A side that is nil is missing.
func JoinChange(old, now []byte) []byte {
	data := make([]byte, 1, 1+2*binary.MaxVarintLen32+len(old)+len(now))
	data[0] = changeVersion
	for _, side := range [][]byte{old, now} {
		if side == nil {
			data = append(data, 0)
			continue
		}
		data = append(binary.AppendUvarint(data, uint64(len(side))+1), side...)
	}
	return data
}

// CutChange returns the sides of a change. One of them, at least, is not nil.
func CutChange(data []byte) (old, now []byte, err error) {
	if len(data) == 0 || data[0] != changeVersion {
		return nil, nil, fmt.Errorf("%w: its first byte is not %d", ErrNoChange, changeVersion)
	}
	rest := data[1:]
	if old, rest, err = cutSide(rest); err != nil {
		return nil, nil, err
	}
	if now, rest, err = cutSide(rest); err != nil {
		return nil, nil, err
	}
	switch {
	case len(rest) > 0:
		return nil, nil, fmt.Errorf("%w: %d bytes follow it", ErrNoChange, len(rest))
	case old == nil && now == nil:
		return nil, nil, fmt.Errorf("%w: both sides are missing", ErrNoChange)
	}
	return old, now, nil
}

func cutSide(data []byte) (side, rest []byte, err error) {
	size, n := binary.Uvarint(data)
	if n <= 0 || n > 1 && data[n-1] == 0 { // too short, too large, or longer than it need be
		return nil, nil, fmt.Errorf("%w: a length is not one", ErrNoChange)
	}
	data = data[n:]
	if size == 0 {
		return nil, data, nil
	}
	if size--; size > uint64(len(data)) {
		return nil, nil, fmt.Errorf("%w: a side of %d bytes, and %d are left", ErrNoChange, size, len(data))
	}
	return data[:size:size], data[size:], nil
}
