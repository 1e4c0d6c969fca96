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
	dir     string
	files   *files
	db      *leveldb.DB
	options Options
	harmed  atomic.Pointer[error] // the first damage that was found
	open    *overlay              // written by the open transaction
	below   *view                 // of an earlier Scan or Due; nil if there is none to use again

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
	Source   string    // whose rows these are, see Store.Begin
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

	// Failed is told of damage that is found while the store is open, once, and of a
	// batch that cannot be written, for which nobody may be waiting. It is called by
	// whoever meets the error, and must not call the store.
	Failed func(error)
}

// Open opens the store in a directory, which it creates. A store whose files
// are damaged or of another format, or that fit refuses (it says why), is wiped:
// the changelog has everything. It returns in words why it was wiped, if it was.
func Open(dir string, o Options, fit func(Origin) error) (s *Store, wiped string, err error) {
	for attempt := 0; ; attempt++ {
		reason, err := notedDamage(dir), error(nil)
		if reason == nil || !errors.Is(reason, ErrDamaged) {
			if s, reason, err = open(dir, o, fit); s != nil {
				return s, wiped, nil
			}
		}
		if err != nil {
			return nil, "", fmt.Errorf("table in %s: %w", dir, err)
		}
		if wiped = reason.Error(); attempt > 0 {
			return nil, "", fmt.Errorf("table in %s: wiped, and still %w", dir, reason)
		}
		if err := os.RemoveAll(dir); err != nil {
			return nil, "", fmt.Errorf("table in %s: wiping it: %w", dir, classify(err))
		}
	}
}

// open opens a store, or says why it is to be wiped, or why neither can be.
func open(dir string, o Options, fit func(Origin) error) (s *Store, wipe, err error) {
	s = &Store{
		dir: dir, options: o, open: newOverlay(o, 1024), cache: map[string][]byte{}, saved: make(chan struct{}),
		floor: []byte{dueSpace}, stale: map[string]struct{}{},
	}
	close(s.saved)
	err = s.openFiles()
	if err == nil {
		var origin Origin
		if origin, err = s.load(); err == nil {
			wipe = fit(origin)
		}
	}
	if err == nil && wipe == nil {
		err = s.reindex()
	}
	if err == nil && wipe == nil {
		return s, nil, nil
	}
	if closed := s.closeFiles(); err == nil {
		err = closed // else it would hide why the store is to be wiped
	}
	var format formatError
	if err = classify(err); errors.Is(err, ErrDamaged) || errors.As(err, &format) {
		wipe, err = err, nil
	}
	return nil, wipe, err
}

// openFiles opens LevelDB. It checks all that it reads: what is damaged would be
// left out without a word otherwise.
func (s *Store) openFiles() error {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	stored, err := storage.OpenFile(s.dir, false)
	if err != nil {
		return err
	}
	s.files = &files{Storage: stored}
	s.db, err = leveldb.Open(s.files, &opt.Options{
		WriteBuffer:        4 << 20,
		BlockCacheCapacity: 8 << 20,
		Filter:             filter.NewBloomFilter(10),
		Strict:             opt.StrictAll,
	})
	return err
}

func (s *Store) closeFiles() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.files != nil {
		errs = append(errs, s.files.Close())
	}
	return errors.Join(errs...)
}

// load reads what stands beside the rows.
func (s *Store) load() (Origin, error) {
	if err := checkFormat(s.db); err != nil {
		return Origin{}, err
	}
	origin, err := s.origin(s.db)
	if err != nil {
		return Origin{}, err
	}
	s.position = origin.Position
	stray, err := s.db.Has(strayKey, nil)
	s.stray.Store(stray)
	return origin, err
}

// Cut says which file was found to be cut off or damaged at its end when the
// store was opened, "" if none was. What was written there last is not in the
// rows, nor in Position.
func (s *Store) Cut() string { return s.files.cut }

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

// Begin notes whose rows the store has from now on, in the caller's words.
func (s *Store) Begin(source string) error {
	return s.fault(s.db.Put(sourceKey, []byte(source), nil))
}

// Stray tells whether some key was noted to belong to another partition.
func (s *Store) Stray() bool { return s.stray.Load() }

// NoteStray notes that some key belongs to another partition by its hash.
func (s *Store) NoteStray() error {
	s.stray.Store(true)
	return s.fault(s.db.Put(strayKey, nil, nil))
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
	value, time, err = s.decode(b, err)
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
	value, time, err = s.decode(b, err)
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
	return b, s.fault(err)
}

// decode takes a row apart that was read with err.
func (s *Store) decode(b []byte, err error) (value []byte, time int64, _ error) {
	value, time, err = decode(b, err)
	return value, time, s.fault(err)
}

// Note has the next Commit write a text beside the position.
func (s *Store) Note(text string) { s.open.text = text }

// Written returns how many rows of the open transaction there are for the
// changelog.
func (s *Store) Written() int { return len(s.open.rows) }

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
		err = s.fault(s.db.Put(positionKey, positionValue(s.position), nil))
	}
	return errors.Join(err, s.fault(s.closeFiles())) // LevelDB says here what its compactions have met
}
