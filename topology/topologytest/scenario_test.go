package topologytest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/topologytest"
)

const scenario = `# A title.

# First.
record hello-log-store a {"state":"HAPPY"}
record hello-log-store "b c"
----
hello-state-store a = {"state":"HAPPY"}
hello-changes a = {"state":"HAPPY"}
hello-count-store a = 1
hello-state-store "b c" deleted
hello-changes "b c" deleted
dropped

raw hello-log-store - not JSON
raw hello-log-store a not JSON
----
dropped
dropped
refused table hello-state-store: decode value: invalid character 'o' in literal null (expecting 'u')
refused count hello-count-store: decode value: invalid character 'o' in literal null (expecting 'u')
`

func write(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "scenario.txt")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestReadScenario(t *testing.T) {
	steps := topologytest.ReadScenario(t, build(t), write(t, scenario))
	at := topology.Position{Topic: "hello-log-store"}
	want := []topologytest.Step{
		{
			Line: 4,
			Records: []topology.Raw{
				{Key: []byte("a"), Value: []byte(`{"state":"HAPPY"}`), Position: at},
				{Key: []byte("b c"), Position: at},
			},
			Want: strings.Split(scenario, "\n")[6:12],
		},
		{
			Line: 14,
			Records: []topology.Raw{
				{Value: []byte("not JSON"), Position: at},
				{Key: []byte("a"), Value: []byte("not JSON"), Position: at},
			},
			Want: strings.Split(scenario, "\n")[16:20],
		},
	}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestScenario(t *testing.T) {
	t.Setenv("UPDATE_GOLDEN", "")
	d := topologytest.New(t, build(t), 3)
	d.Scenario(write(t, scenario))
	if errs := d.Errors(); len(errs) > 0 {
		t.Errorf("errors that the scenario expects: %v", errs)
	}

	q := &quiet{TB: t}
	file := write(t, strings.Replace(scenario, "store a = 1", "store a = 2", 1))
	topologytest.New(q, build(t), 3).Scenario(file)
	if len(q.failures) != 1 || !strings.HasPrefix(q.failures[0], file+":4: got\n") {
		t.Errorf("failures %q, want one of line 4", q.failures)
	}
}

// Writing what came about keeps comments, and writes what was missing.
func TestScenarioIsRewritten(t *testing.T) {
	t.Setenv("UPDATE_GOLDEN", "1")
	for _, text := range []string{
		scenario,
		strings.Replace(scenario, "store a = 1", "store a = 2", 1),
		strings.Replace(scenario, "\n----\ndropped\ndropped\n", "\n", 1)[:strings.Index(scenario, "----\ndropped\n")],
	} {
		file := write(t, text)
		topologytest.New(t, build(t), 3).Scenario(file)
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(scenario, string(got)); diff != "" {
			t.Errorf("file (-want +got):\n%s", diff)
		}
	}
}

func TestGolden(t *testing.T) {
	file := write(t, "a\n")
	t.Setenv("UPDATE_GOLDEN", "")
	topologytest.Golden(t, "a\n", file)
	q := &quiet{TB: t}
	topologytest.Golden(q, "b\n", file)
	if len(q.failures) != 1 {
		t.Errorf("failures %q, want one", q.failures)
	}
	t.Setenv("UPDATE_GOLDEN", "1")
	topologytest.Golden(t, "b\n", file)
	t.Setenv("UPDATE_GOLDEN", "")
	topologytest.Golden(t, "b\n", file)
}
