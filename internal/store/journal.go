package store

import (
	"encoding/binary"
	"iter"

	"github.com/syndtr/goleveldb/leveldb/util"
)

// wholeRecords yields the records of a journal, up to the first that is not
// whole, and where each ends. A record is valid until the next step.
func wholeRecords(data []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		var record []byte
		open := false // within a record of several chunks
		for at := 0; ; {
			if left := blockBytes - at%blockBytes; left < chunkHeader {
				at += left
			}
			if at+chunkHeader > len(data) {
				return
			}
			head := data[at : at+chunkHeader]
			length, kind := int(binary.LittleEndian.Uint16(head[4:])), head[6]
			end := at + chunkHeader + length
			starts := kind == chunkFull || kind == chunkFirst
			switch {
			case kind < chunkFull || kind > chunkLast || starts == open:
				return
			case end > len(data) || end > at/blockBytes*blockBytes+blockBytes:
				return
			case binary.LittleEndian.Uint32(head) != util.NewCRC(data[at+6:end]).Value():
				return
			}
			if starts {
				record = record[:0]
			}
			record = append(record, data[at+chunkHeader:end]...)
			if open = kind == chunkFirst || kind == chunkMiddle; !open && !yield(end, record) {
				return
			}
			at = end
		}
	}
}
