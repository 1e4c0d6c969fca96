package processor

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/tidemark-dev/tidemark/internal/store"
)

// An identity says who a state directory belongs to. The instance is the
// group.instance.id, and part of the transactional ids: the next process on
// this disk gets the same partitions back at once, and ends at once what this
// one left open. The lock keeps two processes from being the same instance.
type identity struct {
	Application string `json:"application"`
	Instance    string `json:"instance"`
	Check       string `json:"check,omitempty"` // of the other two; not in those of older versions
}

func newIdentity(application string) identity {
	id := identity{Application: application, Instance: application + "-" + rand.Text()[:12]}
	id.Check = id.check()
	return id
}

func (id identity) check() string {
	return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(id.Application+" "+id.Instance)))
}

// takeIdentity locks the state directory and reads its identity, or makes one.
func takeIdentity(dir, application string, logger *slog.Logger) (instance string, lock io.Closer, err error) {
	lock, err = store.Lock(dir)
	if err != nil {
		return "", nil, err
	}
	instance, err = readIdentity(filepath.Join(dir, "identity.json"), application, logger)
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("state directory %q: %w", dir, err), lock.Close())
	}
	return instance, lock, nil
}

// readIdentity reads the identity, or makes a new one in place of none or of one
// that is damaged. That is safe: a new member ends what the old one left open when
// it gets its partitions, which is when the old one's session has timed out.
func readIdentity(file, application string, logger *slog.Logger) (string, error) {
	var id identity
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	missing := err != nil
	if !missing {
		err = json.Unmarshal(data, &id)
	}
	switch {
	case err != nil || id.Instance == "" || id.Check != "" && id.Check != id.check():
	case id.Application != application:
		return "", fmt.Errorf("it belongs to application %q, not to %q: give each its own", id.Application, application)
	default:
		return id.Instance, nil
	}
	id = newIdentity(application)
	if !missing {
		logger.Warn("identity.json was damaged: the instance joins as a new one, which gets the old one's partitions when that one's session has timed out", "file", file, "instance", id.Instance)
	}
	if data, err = json.Marshal(id); err != nil {
		return "", err
	}
	return id.Instance, writeFile(file, data)
}

// writeFile replaces a file as a whole, and for good: what it holds must not be
// lost once it is used.
func writeFile(file string, data []byte) error {
	f, err := os.Create(file + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	_ = dir.Sync() // not every system can: there the old file may come back, or none
	return dir.Close()
}
