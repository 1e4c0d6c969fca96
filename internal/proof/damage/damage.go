// Package damage harms files, for tests of what is kept in them.
package damage

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// A Kind is a way of harming a file.
type Kind int

// Kinds. Pages are zeroed whole, as a disk or a file system does it.
const (
	Flip Kind = iota // one bit of the byte at At
	Zero             // Size bytes from At on
	Cut              // what lies behind At
	Gone             // the file
)

// A Harm is one damage of one file.
type Harm struct {
	Kind     Kind
	File     string // below the directory
	At, Size int64
}

func (h Harm) String() string {
	switch h.Kind {
	case Flip:
		return fmt.Sprintf("%s: a bit of byte %d flipped", h.File, h.At)
	case Zero:
		return fmt.Sprintf("%s: bytes %d to %d zeroed", h.File, h.At, h.At+h.Size)
	case Cut:
		return fmt.Sprintf("%s: cut at %d", h.File, h.At)
	default:
		return h.File + ": gone"
	}
}

const page = 512 // bytes, the smallest that disks write

// A file lies below a directory.
type file struct {
	name string
	size int64
}

func files(dir string) (all []file, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		all = append(all, file{name, info.Size()})
		return err
	})
	return all, err
}

// All returns every harm to the files below a directory: a bit of every step-th
// byte, every page, cuts at the pages and in their middle, and the files gone.
func All(dir string, step int64) (harms []Harm, err error) {
	all, err := files(dir)
	for _, f := range all {
		for at := int64(0); at < f.size; at += step {
			harms = append(harms, Harm{Kind: Flip, File: f.name, At: at})
		}
		for at := int64(0); at < f.size; at += page {
			harms = append(harms, f.zero(at))
		}
		for at := int64(0); at < f.size; at += page / 2 {
			harms = append(harms, Harm{Kind: Cut, File: f.name, At: at})
		}
		harms = append(harms, Harm{Kind: Gone, File: f.name})
	}
	return harms, err
}

// Random returns a harm of any kind to any file below a directory that is not
// empty. Without such a file the error is fs.ErrNotExist.
func Random(dir string, random *rand.Rand) (Harm, error) {
	all, err := files(dir)
	all = slices.DeleteFunc(all, func(f file) bool { return f.size == 0 })
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%s: a file that is not empty: %w", dir, fs.ErrNotExist)
	}
	if err != nil {
		return Harm{}, err
	}
	f := all[random.IntN(len(all))]
	at := random.Int64N(f.size)
	switch kind := Kind(random.IntN(4)); kind {
	case Zero:
		return f.zero(at - at%page), nil
	case Gone:
		return Harm{Kind: Gone, File: f.name}, nil
	default:
		return Harm{Kind: kind, File: f.name, At: at}, nil
	}
}

// zero is the harm to the page at an offset.
func (f file) zero(at int64) Harm {
	return Harm{Kind: Zero, File: f.name, At: at, Size: min(page, f.size-at)}
}

// Do does the harm below a directory.
func (h Harm) Do(dir string) error {
	path := filepath.Join(dir, h.File)
	switch h.Kind {
	case Cut:
		return os.Truncate(path, h.At)
	case Gone:
		return os.Remove(path)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b := make([]byte, max(1, h.Size))
	if h.Kind == Flip {
		if _, err := f.ReadAt(b, h.At); err != nil {
			return errors.Join(err, f.Close())
		}
		b[0] ^= 1 << (h.At / 64 % 8)
	}
	_, err = f.WriteAt(b, h.At)
	return errors.Join(err, f.Close())
}
