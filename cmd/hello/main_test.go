package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

// asProgram makes the test binary the program.
const asProgram = "HELLO_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestHello(t *testing.T) {
	topo, err := build()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, topo, 4)
	for i := range 10 {
		r, err := sample(i)
		if err != nil {
			t.Fatal(err)
		}
		d.SendRaw(r)
	}
	topologytest.Send(d, journal, "testid-02", Hello{"ANGRY", 1, 1})
	topologytest.Delete(d, journal, "testid-02")
	d.Restart()

	rows := topologytest.Rows(d, hellos)
	if want := (Hello{"HAPPY", 10, 100}); len(rows) != 1 || rows["testid-01"] != want {
		t.Errorf("got %v, want only testid-01 with %v", rows, want)
	}
}

// The demo begins with the ten records of one greeter, and goes on with many.
func TestSample(t *testing.T) {
	keys := map[string]bool{}
	for i := range 3000 {
		r, err := sample(i)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`{"state":"HAPPY","helloCount":%d,"helloTotalCount":%d}`, i+1, 10*(i+1))
		if i < 10 && (string(r.Key) != "testid-01" || string(r.Value) != want) {
			t.Errorf("%d: got %s %s, want testid-01 %s", i, r.Key, r.Value, want)
		}
		keys[string(r.Key)] = true
	}
	if len(keys) != 1001 {
		t.Errorf("got %d keys, want 1001", len(keys))
	}
}

func TestTopology(t *testing.T) {
	topo, err := build()
	if err != nil {
		t.Fatal(err)
	}
	topologytest.Golden(t, topo.String(), filepath.Join("testdata", "hello.golden"))
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
