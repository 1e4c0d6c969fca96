package topology

import (
	"bytes"
	"encoding/binary"
)

// Keys of ordered stores begin with a key of records, so that rows of one key are
// neighbours whatever the key's bytes are; what follows orders them: a time, say,
// by appendStart. A zero byte of the key is written as 0 255, its end as 0 0.

// cutKey returns the key that a row's key begins with, and what follows. The key
// may share the row's bytes.
func cutKey(row []byte) (key, rest []byte, ok bool) {
	i := bytes.IndexByte(row, 0)
	if i >= 0 && i+1 < len(row) && row[i+1] == 0 { // most keys have no zero byte
		return row[:i:i], row[i+2:], true
	}
	for i >= 0 && i+1 < len(row) {
		key = append(key, row[:i]...)
		next := row[i+1]
		row = row[i+2:]
		switch next {
		case 0:
			return key, row, true
		case 255:
			key = append(key, 0)
		default:
			return nil, nil, false
		}
		i = bytes.IndexByte(row, 0)
	}
	return nil, nil, false
}

// cutTime returns the time that a part of a row's key begins with, and what follows.
func cutTime(row []byte) (millis int64, rest []byte, ok bool) {
	if len(row) < 8 {
		return 0, nil, false
	}
	return int64(binary.BigEndian.Uint64(row) ^ 1<<63), row[8:], true
}

// following returns the first key after all that begin with a prefix, nil if there
// is none.
func following(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 255 {
			next := bytes.Clone(prefix[:i+1])
			next[i]++
			return next
		}
	}
	return nil
}
