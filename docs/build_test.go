package docs_test

import (
	"testing"

	"github.com/tidemark-dev/tidemark/topology"
)

// Each program that is shown is a topology without a mistake.
func TestShownTopologiesBuild(t *testing.T) {
	for name, declare := range map[string]func(*topology.Builder){
		"stateless": stateless, "fallible": fallible, "tables": tables, "aggregates": aggregates,
		"aggregatesOfTables": aggregatesOfTables, "windows": windows, "joins": joins, "process": process, "gokaJoins": gokaJoins, "operators": operators,
	} {
		b := topology.NewBuilder("shown")
		declare(b)
		if topo, err := b.Build(); err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			t.Logf("%s:\n%s", name, topo)
		}
	}
	if _, err := gokaCounter(); err != nil {
		t.Error(err)
	}
}
