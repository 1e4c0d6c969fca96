package docs_test

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	quoted = regexp.MustCompile("`([\\w./-]+)`")
	linked = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	source = []string{".go", ".md", ".lua", ".html", ".bash", ".yaml", ".yml"}
)

// Files and folders that the documents name exist: those in backticks from the root of
// the tree, so that one name is enough to open them, and those of links from the document.
func TestNamedFilesExist(t *testing.T) {
	documents, _ := filepath.Glob("*.md")
	for _, document := range append(documents, "../README.md", "../CONTRIBUTING.md", "../SECURITY.md") {
		text := read(t, document)
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			if isPath(m[1]) && !exists("../"+m[1]) {
				t.Errorf("%s names %s, which does not exist", document, m[1])
			}
		}
		for _, m := range linked.FindAllStringSubmatch(text, -1) {
			if !exists(path.Join(path.Dir(document), m[1])) {
				t.Errorf("%s links to %s, which does not exist", document, m[1])
			}
		}
	}
}

// isPath tells whether a name is of a source file, or begins with a folder of the tree.
func isPath(name string) bool {
	first, _, more := strings.Cut(name, "/")
	return slices.Contains(source, path.Ext(name)) || more && first != "" && exists("../"+first)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}
