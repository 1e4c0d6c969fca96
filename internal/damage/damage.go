// Package damage harms files, for tests of what is kept in them.
package damage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// All returns every harm to the files below a directory: a bit of every step-th
// byte, every page, cuts at the pages and in their middle, and the files gone.
func All(dir string, step int64) (harms []Harm, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		file, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		size := info.Size()
		for at := int64(0); at < size; at += step {
			harms = append(harms, Harm{Kind: Flip, File: file, At: at})
		}
		for at := int64(0); at < size; at += page {
			harms = append(harms, Harm{Kind: Zero, File: file, At: at, Size: min(page, size-at)})
		}
		for at := int64(0); at < size; at += page / 2 {
			harms = append(harms, Harm{Kind: Cut, File: file, At: at})
		}
		harms = append(harms, Harm{Kind: Gone, File: file})
		return nil
	})
	return harms, err
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
