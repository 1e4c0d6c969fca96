// Package store keeps one partition of one table in LevelDB: its rows with their
// times and deadlines, and the changelog position that they stand for, written
// together.
//
// Above LevelDB lies, in memory, what the open transaction has written. LevelDB
// therefore never holds anything uncommitted, and a process that was killed
// starts again from what it had.
package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/syndtr/goleveldb/leveldb"
	lerrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"
)

// ErrClosed means that the partition has gone elsewhere.
var ErrClosed = errors.New("the partition is being closed")

// A Store is one partition of a table. Get, Put, Note, Scan, Due, Unsent, Commit
// and Discard are for one goroutine at a time, the task's; Committed, Snapshot and
// Position are for everybody, also while the store is being closed.
type Store struct {
	db      *leveldb.DB
	options Options
	open    *overlay // written by the open transaction
	below   *view    // of an earlier Scan or Due; nil if there is none to use again

	round int                 // of views: an older one is not used again
	floor []byte              // LevelDB has no deadline before this one that Due would yield
	stale map[string]struct{} // keys in dueSpace that the next batch removes

	life   sync.RWMutex // held while others read LevelDB; before mu
	closed bool

	mu       sync.RWMutex
	saving   *overlay          // committed, on its way into LevelDB
	cache    map[string][]byte // rows lately written, as in LevelDB: a table that is counted reads them again
	cached   int               // bytes in cache
	position int64             // the changelog offset after the last one applied
	saved    chan struct{}     // closed when LevelDB has what was saving
	saveErr  error             // of the last save

	looked  lookups     // rows lately read from LevelDB; the task's alone
	asked   atomic.Bool // somebody reads: the cache is worth its memory
	stray   atomic.Bool
	scratch []byte // of Get
	key     []byte // of write, as value and order are
	value   []byte
	batch   leveldb.Batch
	order   []int32
}

// Origin is where the rows of a store come from, and how far.
type Origin struct {
	Source   string    // the incarnation of the changelog topic
	Position int64     // the changelog offset after the last one applied, 0 if none is
	Saved    time.Time // when Position was written
	Note     string    // see Store.Note
}

// Options say how a store is kept.
type Options struct {
	// EveryChange keeps each change of the open transaction for the changelog.
	// By default it is the last one of a key.
	EveryChange bool

	// Ordered stores can be scanned.
	Ordered bool

	// Deadline says when a row is due; math.MaxInt64 is never. Without it the
	// store has no Due. Its answer depends on nothing but its arguments, which it
	// does not keep, and it is called by several goroutines.
	Deadline func(key, value []byte, time int64) int64

	// DeadlineByKey says that Deadline looks at the key alone, and may be called
	// without a value. By default a row that the transaction writes and has not
	// read is read from LevelDB for the deadline that it had.
	DeadlineByKey bool

	// DeadlineName tells one Deadline from another, figures included: a store
	// that was left with another one indexes its rows anew when it is opened.
	DeadlineName string
}

// Open opens the store in a directory, which it creates. A store whose files
// are damaged or of another format, or that fit refuses (it says why), is wiped:
// the changelog has everything. It returns in words why it was wiped, if it was.
func Open(dir string, o Options, fit func(Origin) error) (s *Store, wiped string, err error) {
	for attempt := 0; ; attempt++ {
		s, origin, err := open(dir, o)
		var format formatError
		switch {
		case err == nil:
			reason := fit(origin)
			if reason == nil {
				reason = s.reindex()
			}
			if reason == nil {
				return s, wiped, nil
			}
			wiped = reason.Error()
			err = s.db.Close()
		case errors.As(err, &format):
			wiped, err = format.Error(), nil
		case lerrors.IsCorrupted(err):
			wiped, err = fmt.Sprintf("its files are damaged: %v", err), nil
		}
		if err != nil {
			return nil, "", fmt.Errorf("table in %s: %w", dir, err)
		}
		if attempt > 0 {
			return nil, "", fmt.Errorf("table in %s: wiped, and still %s", dir, wiped)
		}
		if err := os.RemoveAll(dir); err != nil {
			return nil, "", fmt.Errorf("table in %s: wiping it: %w", dir, err)
		}
	}
}

func open(dir string, o Options) (s *Store, origin Origin, err error) {
	db, err := leveldb.OpenFile(dir, &opt.Options{
		WriteBuffer:        4 << 20,
		BlockCacheCapacity: 8 << 20,
		Filter:             filter.NewBloomFilter(10),
	})
	if err != nil {
		return nil, Origin{}, err
	}
	defer func() {
		if err != nil {
			// An error of Close would hide why the store is to be wiped.
			_ = db.Close()
		}
	}()
	if err := checkFormat(db); err != nil {
		return nil, Origin{}, err
	}
	s = &Store{db: db, options: o, open: newOverlay(o, 1024), cache: map[string][]byte{}, saved: make(chan struct{}), floor: []byte{dueSpace}, stale: map[string]struct{}{}}
	close(s.saved)
	if origin, err = s.origin(db); err != nil {
		return nil, Origin{}, err
	}
	s.position = origin.Position
	stray, err := db.Has(strayKey, nil)
	if err != nil {
		return nil, Origin{}, err
	}
	s.stray.Store(stray)
	return s, origin, nil
}

type getter interface {
	Get(key []byte, ro *opt.ReadOptions) ([]byte, error)
}

func (s *Store) origin(from getter) (o Origin, err error) {
	source, err := from.Get(sourceKey, nil)
	if err != nil && !errors.Is(err, leveldb.ErrNotFound) {
		return o, err
	}
	o.Source = string(source)
	note, err := from.Get(noteKey, nil)
	if err != nil && !errors.Is(err, leveldb.ErrNotFound) {
		return o, err
	}
	o.Note = string(note)
	b, err := from.Get(positionKey, nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return o, nil
	}
	if err == nil && len(b) != 16 {
		err = lerrors.NewErrCorrupted(storage.FileDesc{}, fmt.Errorf("position of %d bytes", len(b)))
	}
	if err != nil {
		return o, err
	}
	o.Position = int64(binary.BigEndian.Uint64(b))
	o.Saved = time.UnixMilli(int64(binary.BigEndian.Uint64(b[8:])))
	return o, nil
}

func positionValue(position int64) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(position))
	return binary.BigEndian.AppendUint64(b, uint64(time.Now().UnixMilli()))
}

// Begin notes the incarnation of the changelog that the rows come from now on.
func (s *Store) Begin(source string) error { return s.db.Put(sourceKey, []byte(source), nil) }

// Stray tells whether some key was noted to belong to another partition.
func (s *Store) Stray() bool { return s.stray.Load() }

// NoteStray notes that some key belongs to another partition by its hash.
func (s *Store) NoteStray() error {
	s.stray.Store(true)
	return s.db.Put(strayKey, nil, nil)
}

// Position returns the changelog offset after the last one committed.
func (s *Store) Position() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.position
}

// Put sets a row in the open transaction, or deletes it if value is nil. It
// copies both.
func (s *Store) Put(key, value []byte, time int64) {
	s.looked.drop(key)
	s.open.put(key, value, time)
}

// Get returns a row as the open transaction sees it, and its time; a nil value
// if there is none. The bytes are valid until the next call.
func (s *Store) Get(key []byte) (value []byte, time int64, err error) {
	if r := s.open.get(key); r != nil {
		return r.Value, r.Time, nil
	}
	if b, ok := s.looked.get(key); ok {
		return decode(b, nil)
	}
	b, read, err := s.committed(key, s.scratch[:0])
	switch {
	case read && err == nil:
		s.looked.note(key, b)
	case b != nil:
		s.scratch = b
	}
	value, time, err = decode(b, err)
	if read && s.options.Deadline != nil && err == nil {
		s.note(key, s.options.deadline(key, value, time))
	}
	return value, time, err
}

// Committed returns a committed row and its time, a nil value if there is none,
// and the position of which it is at least.
func (s *Store) Committed(key []byte) (value []byte, time, position int64, err error) {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return nil, 0, 0, ErrClosed
	}
	position = s.Position()
	b, _, err := s.committed(key, nil)
	value, time, err = decode(b, err)
	return value, time, position, err
}

// committed appends a row as it is in LevelDB to dst, or returns nil. It tells
// whether it had to be read there.
func (s *Store) committed(key, dst []byte) (b []byte, read bool, err error) {
	s.mu.RLock()
	r, known := s.saving.get(key), true
	if r == nil {
		b, known = s.cache[string(key)]
	}
	switch {
	case r != nil && r.Value != nil:
		b = encode(dst, r.Value, r.Time)
	case b != nil:
		b = append(dst, b...)
	}
	s.mu.RUnlock()
	if known {
		return b, false, nil
	}
	s.asked.Store(true)
	b, err = s.stored(rowKey(nil, key))
	return b, true, err
}

// stored returns what LevelDB has under a key, nil if that is nothing.
func (s *Store) stored(key []byte) ([]byte, error) {
	b, err := s.db.Get(key, nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, nil
	}
	return b, err
}

// Note has the next Commit write a text beside the position.
func (s *Store) Note(text string) { s.open.text = text }

// Unsent returns the rows of the open transaction that have not been returned
// before. They do not change any more.
func (s *Store) Unsent() []Row {
	rows := s.open.rows[s.open.sent:]
	s.open.sent = len(s.open.rows)
	return rows
}

// Waiting returns how many rows Unsent would return.
func (s *Store) Waiting() int { return len(s.open.rows) - s.open.sent }

// Held returns the bytes that the open transaction holds, about.
func (s *Store) Held() int { return s.open.held }

// Discard drops what the open transaction has written.
func (s *Store) Discard() {
	s.open = newOverlay(s.options, 1024)
	s.floor = []byte{dueSpace} // it was above what the transaction hid
	s.renew()
}

// Close waits for the last batch and for readers, and closes LevelDB. The
// position's time is renewed if the store is known to be current.
func (s *Store) Close(current bool) error {
	err := s.wait()
	s.renew()
	s.life.Lock()
	defer s.life.Unlock()
	s.closed = true
	if err == nil && current {
		err = s.db.Put(positionKey, positionValue(s.position), nil)
	}
	return errors.Join(err, s.db.Close())
}
