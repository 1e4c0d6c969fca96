package damage_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/tidemark-dev/tidemark/internal/proof/damage"
)

// Each draw changes one file, and says which.
func TestRandom(t *testing.T) {
	t.Parallel()
	random, kinds := rand.New(rand.NewPCG(1, 1)), map[damage.Kind]bool{}
	for range 40 {
		dir := t.TempDir()
		if _, err := damage.Random(dir, random); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("of no file: %v", err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "table", "0"), 0o755); err != nil {
			t.Fatal(err)
		}
		whole := bytes.Repeat([]byte("x"), 10_000)
		names := []string{"identity.json", "table/0/000001.log"}
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), whole, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		harm, err := damage.Random(dir, random)
		if err != nil {
			t.Fatal(err)
		}
		if err := harm.Do(dir); err != nil {
			t.Fatal(err)
		}
		kinds[harm.Kind] = true
		for _, name := range names {
			left, err := os.ReadFile(filepath.Join(dir, name))
			if damaged := err != nil || !bytes.Equal(left, whole); damaged != (harm.File == name) {
				t.Errorf("%q, and %s is damaged: %v", harm, name, damaged)
			}
		}
	}
	if len(kinds) != 4 {
		t.Errorf("only %v were drawn", kinds)
	}
}
