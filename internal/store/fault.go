package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	lerrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/storage"
)

// ErrDamaged means that the files of a store cannot be believed. The store has
// made a note of it, and is wiped when it is opened the next time. Errors of the
// disk, which has no room or refuses, are not damage, and wrap their syscall.Errno.
var ErrDamaged = errors.New("its files are damaged")

// classify wraps an error in ErrDamaged if that is what it means.
func classify(err error) error {
	var ofDB *lerrors.ErrCorrupted
	var ofFiles *storage.ErrCorrupted
	switch {
	case err == nil || errors.Is(err, ErrDamaged):
		return err
	case errors.As(err, &ofDB), errors.As(err, &ofFiles),
		errors.Is(err, fs.ErrNotExist), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// fault classifies an error. Damage is noted, and told once.
func (s *Store) fault(err error) error {
	if err == nil { // at the cost of a comparison: it is called for each row
		return nil
	}
	err = classify(err)
	if damage := err; errors.Is(err, ErrDamaged) && s.harmed.CompareAndSwap(nil, &damage) {
		err = errors.Join(err, noteDamage(s.dir, err))
		if s.options.Failed != nil {
			s.options.Failed(err)
		}
	}
	return err
}

// Damage returns the damage that was found since the store was opened.
func (s *Store) Damage() error {
	if err := s.harmed.Load(); err != nil {
		return *err
	}
	return nil
}

// damageFile is there if damage was found while the store was open: LevelDB finds
// it at its start only in part.
const damageFile = "DAMAGED"

func noteDamage(dir string, damage error) error {
	err := os.WriteFile(filepath.Join(dir, damageFile), []byte(damage.Error()), 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the directory is gone, too
	}
	return err
}

// notedDamage returns the damage that was noted in a directory.
func notedDamage(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, damageFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w, as was found when it was open last: %s", ErrDamaged, text)
}
