// Package store keeps one partition of one table in LevelDB: its rows and the
// changelog position that they stand for, written together.
//
// Above LevelDB lies, in memory, what the open transaction has written. LevelDB
// therefore never holds anything uncommitted, and a process that was killed
// starts again from what it had.
package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
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

// A Store is one partition of a table. Get, Put, Unsent, Commit and Discard are
// for one goroutine at a time, the task's; Committed, Snapshot and Position are
// for everybody, also while the store is being closed.
type Store struct {
	db   *leveldb.DB
	open *overlay // written by the open transaction

	life   sync.RWMutex // held while others read LevelDB; before mu
	closed bool

	mu       sync.RWMutex
	saving   *overlay          // committed, on its way into LevelDB
	cache    map[string][]byte // rows lately written: a table that is counted reads them again
	cached   int               // bytes in cache
	position int64             // the changelog offset after the last one applied
	saved    chan struct{}     // closed when LevelDB has what was saving
	saveErr  error             // of the last save

	asked   atomic.Bool // somebody reads: the cache is worth its memory
	stray   atomic.Bool
	scratch []byte // of Get
	batch   leveldb.Batch
	order   []int32
}

// User keys have a prefix, so that none collides with the store's own.
const (
	prefix     = "k"
	cacheBytes = 4 << 20
	rowCost    = 64 // bytes of a map entry and its slices, about
)

var (
	positionKey = []byte("position") // next changelog offset, and when it was the newest
	sourceKey   = []byte("source")   // the changelog's incarnation
	strayKey    = []byte("stray")    // there if some key belongs to another partition by its hash
)

// Origin is where the rows of a store come from, and how far.
type Origin struct {
	Source   string    // the incarnation of the changelog topic
	Position int64     // the changelog offset after the last one applied, 0 if none is
	Saved    time.Time // when Position was written
}

// Open opens the store in a directory, which it creates. A store whose files
// are damaged, or that fit refuses (it says why), is wiped: the changelog has
// everything. It returns in words why it was wiped, if it was.
func Open(dir string, every bool, fit func(Origin) error) (s *Store, wiped string, err error) {
	for attempt := 0; ; attempt++ {
		s, origin, err := open(dir, every)
		switch {
		case err == nil:
			reason := fit(origin)
			if reason == nil {
				return s, wiped, nil
			}
			wiped = reason.Error()
			err = s.db.Close()
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

func open(dir string, every bool) (*Store, Origin, error) {
	db, err := leveldb.OpenFile(dir, &opt.Options{
		WriteBuffer:        4 << 20,
		BlockCacheCapacity: 8 << 20,
		Filter:             filter.NewBloomFilter(10),
	})
	if err != nil {
		return nil, Origin{}, err
	}
	s := &Store{db: db, open: newOverlay(every, 1024), cache: map[string][]byte{}, saved: make(chan struct{})}
	close(s.saved)
	origin, err := s.origin(db)
	if err != nil {
		return nil, Origin{}, errors.Join(err, db.Close())
	}
	s.position = origin.Position
	stray, err := db.Has(strayKey, nil)
	s.stray.Store(stray)
	if err != nil {
		return nil, Origin{}, errors.Join(err, db.Close())
	}
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
func (s *Store) Put(key, value []byte, time int64) { s.open.put(key, value, time) }

// Get returns a row as the open transaction sees it, nil if there is none. The
// bytes are valid until the next call.
func (s *Store) Get(key []byte) ([]byte, error) {
	if v, ok := s.open.get(key); ok {
		return v, nil
	}
	v, err := s.committed(key, s.scratch[:0])
	if v != nil {
		s.scratch = v
	}
	return v, err
}

// Committed returns a committed row, nil if there is none, and the position
// of which it is at least.
func (s *Store) Committed(key []byte) (value []byte, position int64, err error) {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return nil, 0, ErrClosed
	}
	position = s.Position()
	value, err = s.committed(key, nil)
	return value, position, err
}

// committed appends to dst, which makes a present value not nil.
func (s *Store) committed(key, dst []byte) ([]byte, error) {
	s.mu.RLock()
	v, ok := s.saving.get(key)
	if !ok {
		v, ok = s.cache[string(key)]
	}
	if ok && v != nil {
		if dst == nil {
			dst = make([]byte, 0, len(v))
		}
		v = append(dst, v...)
	}
	s.mu.RUnlock()
	if ok {
		return v, nil
	}
	s.asked.Store(true)
	v, err := s.db.Get(append([]byte(prefix), key...), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, nil
	}
	return v, err
}

// Unsent returns the rows of the open transaction that have not been returned
// before. They do not change any more.
func (s *Store) Unsent() []Row {
	rows := s.open.rows[s.open.sent:]
	s.open.sent = len(s.open.rows)
	return rows
}

// Waiting returns how many rows Unsent would return.
func (s *Store) Waiting() int { return len(s.open.rows) - s.open.sent }

// Held returns the bytes that the open transaction holds.
func (s *Store) Held() int { return s.open.held }

// Discard drops what the open transaction has written.
func (s *Store) Discard() { s.open = newOverlay(s.open.every, 1024) }

// Commit hands the open transaction, which Kafka has committed, to LevelDB as
// one batch, with the changelog offset after its last row. LevelDB writes in
// the background: a crash before that is repaired from the changelog. The error
// is that of the batch before.
func (s *Store) Commit(position int64) error {
	if err := s.wait(); err != nil {
		return err
	}
	next := newOverlay(s.open.every, min(len(s.open.rows), 64<<10))
	s.mu.Lock()
	s.saving, s.position, s.saved = s.open, position, make(chan struct{})
	s.mu.Unlock()
	s.open = next
	go s.save(s.saving.rows, position)
	return nil
}

// wait returns when LevelDB has everything that is committed.
func (s *Store) wait() error {
	s.mu.RLock()
	saved := s.saved
	s.mu.RUnlock()
	<-saved
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.saveErr
}

func (s *Store) save(rows []Row, position int64) {
	order, err := s.write(rows, position)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(s.saved)
	if err != nil {
		s.saveErr = fmt.Errorf("writing to LevelDB: %w", err)
		return // saving stays readable
	}
	if s.asked.Load() {
		for _, i := range order {
			s.keep(&rows[i])
		}
	}
	s.saving = nil
}

// write writes the last row of each key, in the order of keys.
func (s *Store) write(rows []Row, position int64) (order []int32, err error) {
	order = s.order[:0]
	for i := range rows {
		if !rows[i].replaced {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int { return bytes.Compare(rows[a].Key, rows[b].Key) })
	s.order = order
	s.batch.Reset()
	key := make([]byte, 0, 256)
	for _, i := range order {
		key = append(append(key[:0], prefix...), rows[i].Key...)
		if rows[i].Value == nil {
			s.batch.Delete(key)
		} else {
			s.batch.Put(key, rows[i].Value)
		}
	}
	s.batch.Put(positionKey, positionValue(position))
	return order, s.db.Write(&s.batch, nil)
}

// keep puts a row into the cache.
func (s *Store) keep(r *Row) {
	v, ok := s.cache[string(r.Key)]
	if !ok {
		if s.cached > cacheBytes {
			clear(s.cache)
			s.cached = 0
		}
		s.cached += len(r.Key) + rowCost
	}
	s.cached += len(r.Value) - len(v)
	switch {
	case r.Value == nil:
		v = nil
	case v == nil:
		v = append(make([]byte, 0, len(r.Value)+8), r.Value...)
	default:
		v = append(v[:0], r.Value...)
	}
	s.cache[string(r.Key)] = v
}

// Close waits for the last batch and for readers, and closes LevelDB. The
// position's time is renewed if the store is known to be current.
func (s *Store) Close(current bool) error {
	err := s.wait()
	s.life.Lock()
	defer s.life.Unlock()
	s.closed = true
	if err == nil && current {
		err = s.db.Put(positionKey, positionValue(s.position), nil)
	}
	return errors.Join(err, s.db.Close())
}
