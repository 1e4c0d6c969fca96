package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	lerrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/storage"
)

// What an error of a store means to its user. Every error of the disk is one of
// these.
var (
	// ErrDamaged means that the files of a store cannot be believed. The store has
	// made a note of it, and is wiped when it is opened the next time.
	ErrDamaged = errors.New("its files are damaged")

	// ErrExhausted means that there is no room, or that too many files are open. It
	// passes when somebody makes room.
	ErrExhausted = errors.New("it has to wait")

	// ErrDisk means that the disk refuses to read or write. It does not pass.
	ErrDisk = errors.New("the disk refuses")
)

// cures are what to do about errors of the disk.
var cures = map[syscall.Errno]string{
	syscall.ENOSPC: "make room on the disk",
	syscall.EDQUOT: "raise the quota of the disk",
	syscall.EMFILE: "raise the limit of open files (ulimit -n)",
	syscall.ENFILE: "raise the system's limit of open files",
	syscall.ENOMEM: "give it more memory",
	syscall.EAGAIN: "another user of the directory has to end",
	syscall.EROFS:  "is it mounted read-only?",
	syscall.EACCES: "may this user read and write there?",
	syscall.EPERM:  "may this user read and write there?",
	syscall.EIO:    "is the disk broken? Replace it, or use another directory: what was on it is restored",
}

// classify wraps an error of LevelDB or of the disk in what it means.
func classify(err error) error {
	var ofDB *lerrors.ErrCorrupted
	var ofFiles *storage.ErrCorrupted
	var errno syscall.Errno
	switch {
	case err == nil || errors.Is(err, ErrDamaged) || errors.Is(err, ErrExhausted) || errors.Is(err, ErrDisk):
		return err
	case errors.As(err, &ofDB), errors.As(err, &ofFiles),
		errors.Is(err, fs.ErrNotExist), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case !errors.As(err, &errno):
		return err
	}
	sentinel := ErrDisk
	switch errno {
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN:
		sentinel = ErrExhausted
	}
	if cure, ok := cures[errno]; ok {
		return fmt.Errorf("%w: %w: %s", sentinel, err, cure)
	}
	return fmt.Errorf("%w: %w", sentinel, err)
}

// fault classifies an error. Damage is noted, and told once.
func (s *Store) fault(err error) error {
	err = classify(err)
	if damage := err; errors.Is(err, ErrDamaged) && s.harmed.CompareAndSwap(nil, &damage) {
		err = errors.Join(err, noteDamage(s.dir, err))
		if s.options.Damaged != nil {
			s.options.Damaged(err)
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
