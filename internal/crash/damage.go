//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// damage does to one file of a state directory what disks do, and says what.
func damage(dir string, random *rand.Rand) (string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, e := d.Info(); e == nil && info.Size() > 0 {
				files = append(files, path)
			}
		}
		return err
	})
	if err != nil || len(files) == 0 {
		return "nothing: there is no file", err
	}
	slices.Sort(files)
	file := files[random.IntN(len(files))]
	name, err := filepath.Rel(dir, file)
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	at := random.IntN(len(data))
	switch random.IntN(4) {
	case 0:
		data[at] ^= 1 << random.IntN(8)
		return fmt.Sprintf("a bit of %s flipped at %d of %d", name, at, len(data)), os.WriteFile(file, data, 0o644)
	case 1:
		at -= at % 4096
		clear(data[at:min(at+4096, len(data))])
		return fmt.Sprintf("a page of %s zeroed at %d of %d", name, at, len(data)), os.WriteFile(file, data, 0o644)
	case 2:
		return fmt.Sprintf("%s cut at %d of %d", name, at, len(data)), os.Truncate(file, int64(at))
	default:
		return fmt.Sprintf("%s removed", name), os.Remove(file)
	}
}
