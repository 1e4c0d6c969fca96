package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	lerrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/journal"
	"github.com/syndtr/goleveldb/leveldb/storage"
)

// files are LevelDB's files, with the checks that LevelDB does not make itself:
//
//   - A journal is read up to the first byte that is not whole, and nothing behind
//     it is believed. A process that was killed leaves such a tail, and so does
//     damage: LevelDB is given the beginning, which is the table at an older
//     position, and what is missing comes from the changelog.
//   - The batches of the journals follow the manifest, and each other, without a
//     gap. LevelDB would skip what is missing and believe the newest position.
//   - The footer of a table, which has no checksum, points into its file. LevelDB
//     would allocate what a damaged length says, and panic.
//   - A table that is missing is damage and not an error of the disk.
type files struct {
	storage.Storage

	mu       sync.Mutex
	sequence uint64 // of the newest record that is known
	replayed bool   // a batch of a journal has been read
	cut      string // which journal was cut, and where; "" if none was
}

func (f *files) Open(fd storage.FileDesc) (storage.Reader, error) {
	r, err := f.Storage.Open(fd)
	switch {
	case errors.Is(err, fs.ErrNotExist) && fd.Type != storage.TypeManifest:
		return nil, damagedFile(fd, "it is missing")
	case err != nil:
		return nil, err
	}
	checked, err := f.checked(fd, r)
	if err != nil {
		_ = r.Close()
		return nil, err // as it is: LevelDB looks at its type
	}
	return checked, nil
}

func (f *files) checked(fd storage.FileDesc, r storage.Reader) (storage.Reader, error) {
	switch fd.Type {
	case storage.TypeManifest:
		return r, f.manifest(r)
	case storage.TypeJournal:
		return f.journal(fd, r)
	case storage.TypeTable:
		return r, checkFooter(fd, r)
	}
	return r, nil
}

func damagedFile(fd storage.FileDesc, format string, args ...any) error {
	return &lerrors.ErrCorrupted{Fd: fd, Err: fmt.Errorf(format, args...)}
}

// manifest notes the newest sequence number in the manifest. What is wrong with
// it LevelDB finds itself.
func (f *files) manifest(r storage.Reader) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sequence, f.replayed = 0, false
	records := journal.NewReader(r, nil, true, true)
	for {
		record, err := records.Next()
		if err != nil {
			break
		}
		data, err := io.ReadAll(record)
		if err != nil {
			break
		}
		if sequence, ok := sequenceOf(data); ok {
			f.sequence = sequence
		}
	}
	_, err := r.Seek(0, io.SeekStart)
	return err
}

// Fields of a record of the manifest.
const (
	manifestComparer    = 1
	manifestSequence    = 4
	manifestCompaction  = 5 // where the next one of a level goes on
	manifestTableGone   = 6
	manifestTable       = 7
	manifestTableFields = 3 // its level, number and size
)

// sequenceOf returns the sequence number in a record of the manifest, if there is
// one.
func sequenceOf(record []byte) (sequence uint64, ok bool) {
	r := bytes.NewReader(record)
	number := func() uint64 { n, _ := binary.ReadUvarint(r); return n } // a record that ends early has a bad checksum
	skip := func() { _, _ = r.Seek(int64(number()), io.SeekCurrent) }
	for r.Len() > 0 {
		switch number() {
		case manifestComparer:
			skip()
		case manifestSequence:
			sequence, ok = number(), true
		case manifestCompaction:
			number()
			skip()
		case manifestTableGone:
			number()
			number()
		case manifestTable:
			for range manifestTableFields {
				number()
			}
			skip()
			skip()
		default:
			number()
		}
	}
	return sequence, ok
}

// journal returns what is whole of a journal.
func (f *files) journal(fd storage.FileDesc, r storage.Reader) (storage.Reader, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	whole := 0
	for end, batch := range wholeRecords(data) {
		if len(batch) < batchHeader {
			return nil, damagedFile(fd, "a batch of %d bytes", len(batch))
		}
		sequence, records := binary.LittleEndian.Uint64(batch), binary.LittleEndian.Uint32(batch[8:])
		// LevelDB's recovery counts one record too many: after it, or within one
		// that was cut short, the next batch has the number itself.
		if next := f.sequence + 1; sequence != next && (f.replayed || sequence != f.sequence) {
			return nil, damagedFile(fd, "what was before batch %d is missing: it should be %d", sequence, next)
		}
		f.sequence, f.replayed, whole = sequence+uint64(records)-1, true, end
	}
	if whole < len(data) {
		f.cut = fmt.Sprintf("file %s is whole up to byte %d of %d", fd, whole, len(data))
	}
	return &beginning{Reader: bytes.NewReader(data[:whole]), Closer: r}, nil
}

// A beginning is a file as far as it is whole.
type beginning struct {
	*bytes.Reader
	io.Closer
}

// The format of a journal: blocks, in them chunks, of which records are made.
// Neither is longer than its block.
const (
	blockBytes  = 32 << 10
	chunkHeader = 7  // checksum, length, kind
	batchHeader = 12 // sequence number, records
	chunkFull   = 1
	chunkFirst  = 2
	chunkMiddle = 3
	chunkLast   = 4
	footerBytes = 48
	blockTail   = 5 // compression and checksum behind a table's block
)

// checkFooter tells whether the footer of a table points into the table.
func checkFooter(fd storage.FileDesc, r storage.Reader) error {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size < footerBytes {
		return damagedFile(fd, "it has %d bytes, which is too few", size)
	}
	footer := make([]byte, footerBytes)
	if _, err := r.ReadAt(footer, size-footerBytes); err != nil {
		return err
	}
	at := 0
	for range 2 { // the blocks of meta data and of the index
		var block [2]uint64 // offset and length
		for i := range block {
			n := 0
			if block[i], n = binary.Uvarint(footer[at:]); n <= 0 || block[i] > uint64(size) {
				return damagedFile(fd, "its footer is no footer")
			}
			at += n
		}
		if block[0]+block[1]+blockTail > uint64(size)-footerBytes {
			return damagedFile(fd, "its footer points behind its end")
		}
	}
	_, err = r.Seek(0, io.SeekStart)
	return err
}
