package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// asProgram makes the test binary the program.
const asProgram = "ORDERS_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestTopology(t *testing.T) {
	topo, err := build()
	if err != nil {
		t.Fatal(err)
	}
	topologytest.Golden(t, topo.String(), filepath.Join("testdata", "orders.golden"))
}

// The whole program, on real protocols: Kafka, LevelDB, Redis, HTTP.
func TestDemo(t *testing.T) {
	demo := exec.CommandContext(t.Context(), os.Args[0], "demo", "--records", "2000", "--rate", "0", "--addr", "localhost:0")
	demo.Env = append(os.Environ(), asProgram+"=1")
	var stdout, stderr strings.Builder
	demo.Stdout, demo.Stderr = &stdout, &stderr
	if err := demo.Run(); err != nil {
		t.Errorf("%v\n%s%s", err, &stderr, &stdout)
	}
	if !strings.Contains(stdout.String(), "Journal, tables and sinks agree.") {
		t.Errorf("got %s", &stdout)
	}
}
