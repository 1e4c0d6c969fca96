package store

import (
	"fmt"
	"io"
	"os"

	"github.com/syndtr/goleveldb/leveldb/storage"
)

// Lock makes a directory this process's own, until it is closed or the process
// ends, in whatever way. The lock is LevelDB's, which every system has.
func Lock(dir string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	lock, err := storage.OpenFile(dir, false)
	if err != nil {
		return nil, fmt.Errorf("state directory %q is in use by another process, or by a Run in this one whose last function has not returned, or cannot be locked: %w", dir, err)
	}
	return lock, nil
}
