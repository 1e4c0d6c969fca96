package topologytest

import (
	"os"
	"testing"
)

// Golden compares a text, such as a topology's, with a file. With UPDATE_GOLDEN
// in the environment it rewrites the file.
func Golden(t testing.TB, got, file string) {
	t.Helper()
	if updating() {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

func updating() bool { return os.Getenv("UPDATE_GOLDEN") != "" }
