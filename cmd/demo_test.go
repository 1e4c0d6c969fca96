package cmd

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

func TestDemo(t *testing.T) {
	code, stdout, stderr := invoke(t, program(), "", "demo", "--records", "500", "--rate", "0")
	if code != 0 || !strings.Contains(stdout, "500 records acknowledged, 500 in the journal, 500 processed here") ||
		!strings.Contains(stdout, "Journal, tables and sinks agree.") {
		t.Errorf("exit %d, stdout %s, stderr %s", code, stdout, stderr)
	}
}

// A record that is dropped is one that is processed, and counts once.
func TestDemoWithDroppedRecords(t *testing.T) {
	p := program()
	p.Demo.Record = func(i int) (topology.Raw, error) {
		r, err := counts.Encode(fmt.Sprintf("k%d", i%7), count{i})
		if i%5 == 0 {
			r.Key = nil
		}
		return r, err
	}
	code, stdout, stderr := invoke(t, p, "", "demo", "--records", "100", "--rate", "0")
	if code != 0 || !strings.Contains(stdout, "100 in the journal, 100 processed here") {
		t.Errorf("exit %d, stdout %s, stderr %s", code, stdout, stderr)
	}
}

// Groups have several inputs and stores here, and write to each other.
func TestDemoOfSeveralGroups(t *testing.T) {
	names := topology.Topic[string, string]{Name: "names", Key: codec.String{}, Value: codec.String{}}
	p := program()
	p.Build = func() (*topology.Topology, error) {
		b := topology.NewBuilder("counter")
		all := topology.Consume(b, counts)
		perMinute := topology.Count(topology.Window(all, topology.Tumbling{Size: time.Minute}), topology.Store[topology.Windowed[string], int64]{Name: "per-minute"})
		topology.Count(topology.ToStream(perMinute), topology.Store[topology.Windowed[string], int64]{Name: "changes"})
		named := topology.Join(all, topology.Materialize(b, names, topology.Store[string, string]{Name: "name-rows"}),
			topology.Left(func(_ string, c count, name *string) string { return fmt.Sprint(c.N%2, name != nil) }))
		byParity := topology.SelectKey(named, func(_, text string) string { return text[:1] })
		through := topology.Repartition(byParity, topology.Topic[string, string]{Name: "by-parity", Value: codec.String{}})
		topology.Count(through, topology.Store[string, int64]{Name: "parities"})
		return b.Build()
	}
	p.Demo.Record = func(i int) (topology.Raw, error) {
		if i%3 == 0 {
			return names.Encode(fmt.Sprintf("k%d", i%7), fmt.Sprintf("name %d", i))
		}
		return counts.Encode(fmt.Sprintf("k%d", i%7), count{i})
	}
	code, stdout, stderr := invoke(t, p, "", "demo", "--records", "300", "--rate", "0")
	if code != 0 || !strings.Contains(stdout, "300 records acknowledged, 300 in the journal") ||
		!strings.Contains(stdout, "Journal, tables and sinks agree.") {
		t.Errorf("exit %d, stdout %s, stderr %s", code, stdout, stderr)
	}
	for _, line := range []string{
		"7 0 0 0 table changes",
		"7 0 0 0 table per-minute",
		"7 0 0 0 table name-rows (taken as it is)",
		"2 0 0 0 table parities (taken as it is)",
	} {
		if !strings.Contains(strings.Join(strings.Fields(stdout), " "), line) {
			t.Errorf("no line %q in %s", line, stdout)
		}
	}
}

// With --log-format json there is nothing but lines of JSON; the verdict is one.
func TestDemoIsJSON(t *testing.T) {
	code, stdout, stderr := invoke(t, program(), "", "demo", "--records", "50", "--rate", "0", "--log-format", "json")
	var verdict struct {
		Agree     bool
		Processed int64
		Places    []struct{ Right int }
	}
	if err := json.Unmarshal([]byte(stdout), &verdict); code != 0 || err != nil || !verdict.Agree || verdict.Processed != 50 ||
		len(verdict.Places) != 1 || verdict.Places[0].Right != 7 {
		t.Errorf("exit %d, stdout %s, %v", code, stdout, err)
	}
	said := map[string]bool{}
	for line := range strings.Lines(stderr) {
		var entry struct{ Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		said[entry.Msg] = true
	}
	if !said["progress"] {
		t.Errorf("no progress in %s", stderr)
	}
}
