package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/syndtr/goleveldb/leveldb"
	lerrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/storage"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// format is the number of what this file and its keys describe. A store of
// another one is wiped. Number 1 had no number, and rows without a time.
const format = 2

// Rows have a key space of their own, so that no user's key collides with the
// store's.
const (
	rowSpace  = 'k' // the row's key
	dueSpace  = 'd' // the row's deadline, big-endian with its sign turned, and its key
	timeBytes = 8   // before a row's value, big-endian
)

var (
	formatKey   = []byte("format")   // the number, in decimal
	positionKey = []byte("position") // next changelog offset, and when it was the newest
	sourceKey   = []byte("source")   // the changelog's incarnation
	indexedKey  = []byte("indexed")  // what the deadlines in dueSpace are; there if they are all of the rows
	noteKey     = []byte("note")     // what Store.Note was given
	strayKey    = []byte("stray")    // there if some key belongs to another partition by its hash
)

// rowKey appends the LevelDB key of a row.
func rowKey(dst, key []byte) []byte { return append(append(dst, rowSpace), key...) }

// dueKey appends the LevelDB key of a deadline.
func dueKey(dst []byte, e entry) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, dueSpace), uint64(e.deadline)^1<<63)
	return append(dst, e.key...)
}

// dueEntry is dueKey's inverse. The entry shares the key's memory; ok says
// whether it is such a key.
func dueEntry(key []byte) (e entry, ok bool) {
	if len(key) < 9 || key[0] != dueSpace {
		return e, false
	}
	return entry{int64(binary.BigEndian.Uint64(key[1:]) ^ 1<<63), key[9:]}, true
}

// encode appends a row as it is in LevelDB.
func encode(dst, value []byte, time int64) []byte {
	return append(binary.BigEndian.AppendUint64(dst, uint64(time)), value...)
}

// decode takes a row apart, which nil is not. The value shares its memory.
func decode(b []byte, err error) (value []byte, time int64, _ error) {
	if b == nil || err != nil {
		return nil, 0, err
	}
	if len(b) < timeBytes {
		return nil, 0, lerrors.NewErrCorrupted(storage.FileDesc{}, fmt.Errorf("row of %d bytes", len(b)))
	}
	return b[timeBytes:], int64(binary.BigEndian.Uint64(b)), nil
}

// A formatError says why the rows of a store can't be read.
type formatError string

func (e formatError) Error() string { return string(e) }

// checkFormat notes the format in a store without rows.
func checkFormat(db *leveldb.DB) error {
	b, err := db.Get(formatKey, nil)
	switch {
	case err == nil && string(b) == strconv.Itoa(format):
		return nil
	case err == nil:
		return formatError(fmt.Sprintf("it is of format %q, and this program keeps format %d", b, format))
	case !errors.Is(err, leveldb.ErrNotFound):
		return err
	}
	it := db.NewIterator(util.BytesPrefix([]byte{rowSpace}), nil)
	rows := it.Next()
	it.Release()
	if err := it.Error(); err != nil {
		return err
	}
	if rows {
		return formatError("it is of an older format")
	}
	return db.Put(formatKey, strconv.AppendInt(nil, format, 10), nil)
}
