package wire

import "encoding/binary"

// The row of a buffered record has for its key that of the record, as AppendKey
// writes it, its time, and a number that tells records of one key and time apart, in
// the order in which they came. One of the records that have met none has its time,
// its side, then its key and that number: so they come out in Kafka Streams' order,
// which has right ones before left ones.
const (
	timeBytes   = 8
	numberBytes = 4
)

// BufferedPrefix returns what the rows of a key and a time begin with.
func BufferedPrefix(key []byte, time int64) []byte {
	return AppendTime(AppendKey(make([]byte, 0, len(key)+2+timeBytes+numberBytes), key), time)
}

// AppendNumber appends a number to what BufferedPrefix returns.
func AppendNumber(to []byte, number uint32) []byte { return binary.BigEndian.AppendUint32(to, number) }

// BufferedNumber returns the number of a row's key, 0 if it has none.
func BufferedNumber(row []byte) uint32 {
	if len(row) < numberBytes {
		return 0
	}
	return binary.BigEndian.Uint32(row[len(row)-numberBytes:])
}

// BufferedTime returns the time of a buffered record, from its row's key.
func BufferedTime(row []byte) int64 {
	if len(row) < timeBytes+numberBytes {
		return 0
	}
	time, _, _ := CutTime(row[len(row)-timeBytes-numberBytes:])
	return time
}

// UnmatchedKey is the row's key of a record that met none: of side 0, the left one,
// or 1. Buffered is that of its row in the buffer.
func UnmatchedKey(side byte, time int64, buffered []byte) []byte {
	row := append(AppendTime(make([]byte, 0, len(buffered)+1), time), 1-side)
	row = append(row, buffered[:len(buffered)-timeBytes-numberBytes]...)
	return append(row, buffered[len(buffered)-numberBytes:]...)
}

// CutUnmatched returns what the row's key of an unmatched record begins with, and
// the rest, which begins with the record's key.
func CutUnmatched(row []byte) (time int64, side byte, rest []byte) {
	time, rest, ok := CutTime(row)
	if !ok || len(rest) == 0 {
		return 0, 0, nil
	}
	return time, 1 - rest[0], rest[1:]
}
