package processor

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
}

// takeIdentity locks the state directory and reads its identity, or makes one.
func takeIdentity(dir, application string) (instance string, lock io.Closer, err error) {
	lock, err = store.Lock(dir)
	if err != nil {
		return "", nil, err
	}
	instance, err = readIdentity(filepath.Join(dir, "identity.json"), application)
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("state directory %q: %w", dir, err), lock.Close())
	}
	return instance, lock, nil
}

func readIdentity(file, application string) (string, error) {
	var id identity
	data, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		id = identity{application, application + "-" + rand.Text()[:12]}
		data, err := json.Marshal(id)
		if err != nil {
			return "", err
		}
		return id.Instance, writeFile(file, data)
	case err != nil:
		return "", err
	}
	if err := json.Unmarshal(data, &id); err != nil || id.Instance == "" {
		return "", fmt.Errorf("%s is damaged: remove it, and the instance will join as a new one", filepath.Base(file))
	}
	if id.Application != application {
		return "", fmt.Errorf("it belongs to application %q, not to %q: give each its own", id.Application, application)
	}
	return id.Instance, nil
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
	return errors.Join(dir.Sync(), dir.Close())
}
