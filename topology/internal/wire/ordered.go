// Package wire is how keys and values of tidemark's own are written as bytes: those
// of rows, of records between tasks, and of what is committed with offsets. They are
// on users' disks and in their topics: each can be read as it was first written.
package wire

import (
	"bytes"
	"encoding/binary"
)

// Keys of ordered stores begin with a key of records, so that rows of one key are
// neighbours whatever the key's bytes are; what follows orders them: a time, say,
// or a window. A zero byte of the key is written as 0 255, its end as 0 0: no key's
// bytes are so the prefix of another's, and the order of keys stays.
const (
	escape     = 0x00
	escaped    = 0xFF
	terminator = 0x00
)

// AppendKey appends a key as the keys of rows begin with it.
func AppendKey(to, key []byte) []byte {
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

// AppendTime appends a time, in milliseconds, so that bytes have the order of times.
func AppendTime(to []byte, millis int64) []byte {
	return binary.BigEndian.AppendUint64(to, uint64(millis)^1<<63)
}

// CutKey returns the key that a row's key begins with, and what follows. The key
// may share the row's bytes.
func CutKey(row []byte) (key, rest []byte, ok bool) {
	i := bytes.IndexByte(row, escape)
	if i >= 0 && i+1 < len(row) && row[i+1] == terminator { // most keys have no zero byte
		return row[:i:i], row[i+2:], true
	}
	for i >= 0 && i+1 < len(row) {
		key = append(key, row[:i]...)
		next := row[i+1]
		row = row[i+2:]
		switch next {
		case terminator:
			return key, row, true
		case escaped:
			key = append(key, escape)
		default:
			return nil, nil, false
		}
		i = bytes.IndexByte(row, escape)
	}
	return nil, nil, false
}

// CutTime returns the time that a part of a row's key begins with, and what follows.
func CutTime(row []byte) (millis int64, rest []byte, ok bool) {
	if len(row) < 8 {
		return 0, nil, false
	}
	return int64(binary.BigEndian.Uint64(row) ^ 1<<63), row[8:], true
}

// KeyPrefix returns what the rows begin with whose keys begin with some bytes: as
// AppendKey writes them, and open at the end.
func KeyPrefix(key []byte) []byte {
	row := AppendKey(nil, key)
	return row[:len(row)-2]
}
