package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark-dev/tidemark/topology"
)

func TestTopologyDiff(t *testing.T) {
	_, kept, _ := invoke(t, program(), "", "topology", "-o", "json")
	file := filepath.Join(t.TempDir(), "old.json")
	if err := os.WriteFile(file, []byte(kept), 0o644); err != nil {
		t.Fatal(err)
	}
	changed := program()
	changed.Build = func() (*topology.Topology, error) {
		b := topology.NewBuilder("counter")
		topology.Count(topology.Consume(b, counts), topology.Store[string, int64]{Name: "latest"})
		topology.Materialize(b, counts, topology.Store[string, count]{Name: "other"})
		return b.Build()
	}
	for _, c := range []struct {
		name   string
		p      Program
		old    string
		args   string
		code   int
		stdout string // with spaces made one
		stderr string
	}{
		{"the same", program(), "", "topology diff " + file, 0, "no difference", ""},
		{"the same, for scripts", program(), "", "-o json topology diff " + file, 0, "[]", ""},
		{
			"changed", changed, "", "topology diff " + file, 4,
			"breaking store latest: its values are encoded by codec.Int64, were by codec.JSON[cmd.count]: its changelog was written by the old one " +
				"needs reset store latest: it is kept by count, was by table: the rows that are there were made otherwise " +
				"safe group other: new: it reads counts from the start",
			"counter topology: 2 differences are not safe\n",
		},
		{"standard input", program(), kept, "topology diff -", 0, "no difference", ""},
		{
			"a later version", program(), `{"version": 3}`, "topology diff -", 1, "",
			"counter topology: standard input: old topology: it has version 3, and this program knows versions up to 1: build it with a newer tidemark\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := invoke(t, c.p, c.old, strings.Fields(c.args)...)
			if code != c.code || strings.Join(strings.Fields(stdout), " ") != c.stdout || stderr != c.stderr {
				t.Errorf("exit %d, stdout %s, stderr %s", code, stdout, stderr)
			}
		})
	}
	_, stdout, _ := invoke(t, changed, "", "topology", "diff", file, "-o", "json")
	var found []map[string]string
	if err := json.Unmarshal([]byte(stdout), &found); err != nil || len(found) != 3 || found[0]["level"] != "breaking" {
		t.Errorf("for scripts: %s, %v", stdout, err)
	}
}
