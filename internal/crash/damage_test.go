//go:build unix

package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each draw changes one file, and says which.
func TestDamage(t *testing.T) {
	random, kinds := rand.New(rand.NewPCG(1, 1)), map[string]bool{}
	for range 40 {
		dir := t.TempDir()
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
		said, err := damage(dir, random)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			left, err := os.ReadFile(filepath.Join(dir, name))
			if damaged := err != nil || !bytes.Equal(left, whole); damaged != strings.Contains(said, name) {
				t.Errorf("%q, and %s is damaged: %v", said, name, damaged)
			}
		}
		for _, kind := range []string{"bit", "page", "cut", "removed"} {
			if strings.Contains(said, kind) {
				kinds[kind] = true
			}
		}
	}
	if len(kinds) != 4 {
		t.Errorf("only %v were drawn", kinds)
	}
}
