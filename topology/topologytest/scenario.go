package topologytest

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-dev/tidemark/topology"
)

// A Step is one paragraph of a scenario: records, a line of dashes, and a line
// for each thing that they cause, in order.
//
//	# A tombstone deletes the row.
//	record hello-log-store testid-01 {"state":"HAPPY"}
//	record hello-log-store testid-01
//	----
//	hello-state-store testid-01 = {"state":"HAPPY"}
//	hello-state-store testid-01 deleted
//
// A record has its key as Topology.Format prints it, and its value as JSON. The
// word raw in place of record sends the value's text as it is: spoilt, or with
// fields that its type does not know. The key "-" is a missing one; a key with
// spaces, or that begins with a quote, is quoted as in Go. Lines that begin with
// # are comments.
type Step struct {
	Line    int // of its first record
	Records []topology.Raw
	Want    []string // as Line and Refusal write them, or "dropped"
}

const dashes = "----"

// ReadScenario reads the steps of a file. Records have their topic, key and
// value.
func ReadScenario(t testing.TB, topo *topology.Topology, file string) []Step {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var steps []Step
	var step *Step // nil between paragraphs
	written := false
	for i, line := range strings.Split(string(text), "\n") {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "#"):
		case line == "":
			step, written = nil, false
		case line == dashes:
			written = true
		case written && step != nil:
			step.Want = append(step.Want, line)
		default:
			if step == nil {
				steps = append(steps, Step{Line: i + 1})
				step = &steps[len(steps)-1]
			}
			r, err := parseRecord(topo, line)
			if err != nil {
				t.Fatalf("%s:%d: %v", file, i+1, err)
			}
			step.Records = append(step.Records, r)
		}
	}
	return steps
}

// Scenario runs the steps of a file and compares what they cause. With
// UPDATE_GOLDEN in the environment it rewrites the file instead. Errors that a
// scenario expects are not in Errors.
func (d *Driver) Scenario(file string) {
	d.t.Helper()
	d.noting = true
	defer func() { d.noting = false }()
	var got [][]string
	for _, step := range ReadScenario(d.t, d.topo, file) {
		before := len(d.refused)
		d.lines = nil
		for _, r := range step.Records {
			d.sendByKey(r)
		}
		d.refused = d.refused[:before]
		if !updating() && !slices.Equal(d.lines, step.Want) {
			d.t.Errorf("%s:%d: got\n\t%s\nwant\n\t%s", file, step.Line, strings.Join(d.lines, "\n\t"), strings.Join(step.Want, "\n\t"))
		}
		got = append(got, d.lines)
	}
	if updating() {
		rewrite(d.t, file, got)
	}
}

// rewrite replaces what the steps of a file want.
func rewrite(t testing.TB, file string, want [][]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	inRecords, inWant := false, false
	finish := func() {
		if inRecords {
			lines = append(lines, append([]string{dashes}, want[0]...)...)
			want = want[1:]
		}
		inRecords, inWant = false, false
	}
	for line := range strings.SplitSeq(strings.TrimRight(string(text), "\n"), "\n") {
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == "":
			finish()
		case trimmed == dashes:
			finish()
			inWant = true
			continue
		case strings.HasPrefix(trimmed, "#"):
		case inWant:
			continue
		default:
			inRecords = true
		}
		lines = append(lines, line)
	}
	finish()
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
