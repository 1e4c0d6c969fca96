package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Code that the documents show stands, word for word, in a test file beside
// them, or in cmd/hello: so it compiles.
func TestShownCodeIsCompiled(t *testing.T) {
	sources, _ := filepath.Glob("*_test.go")
	var compiled strings.Builder
	for _, file := range append(sources, "../cmd/hello/main.go") {
		compiled.WriteString(flat(read(t, file)))
	}
	documents, _ := filepath.Glob("from-*.md")
	if len(documents) == 0 {
		t.Fatal("no documents")
	}
	for _, file := range append(documents, "operators.md", "redis.md", "../README.md") {
		blocks := strings.Split(read(t, file), "```go\n")[1:]
		if len(blocks) == 0 {
			t.Errorf("%s shows no code", file)
		}
		for _, block := range blocks {
			block, _, _ = strings.Cut(block, "```")
			if !strings.Contains(compiled.String(), flat(block)) {
				t.Errorf("%s: not in a test file:\n%s", file, block)
			}
		}
	}
}

// flat drops the indentation of every line, and empty lines.
func flat(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
