package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/tidemark-dev/tidemark/topology"
	"github.com/tidemark-dev/tidemark/topology/plan"
)

func (s *session) topologyCommand() command {
	const diff = `Diff compares the program with a kept description (- for standard input), and says
of each difference what it means to start the program where the old one has run:
safe, needs reset, or breaking. It exits with 4 unless all are safe. With -o json
it prints them as a list.`
	c := command{
		name: "topology", args: "[mermaid | diff OLD.json]",
		help: "print what is read, kept and written, or how that has changed; needs no Kafka",
		more: `With -o json it prints a description to be kept; with mermaid, a flowchart for
Mermaid. ` + diff,
		parts: []part{
			{name: "print", help: "print what is read, kept and written", more: "With -o json it prints a description to be kept."},
			{name: "mermaid", help: "print a flowchart for Mermaid"},
			{name: "diff", args: "OLD.json", arguments: 1, help: "say what has changed, and whether it is safe to start", more: diff},
		},
	}
	c.run = func(_ context.Context, args []string) error {
		name, args, err := s.part(c, args)
		if err != nil {
			return err
		}
		topo, err := s.topology()
		switch {
		case err != nil:
		case name == "diff":
			return s.diff(topo, args[0])
		case name == "mermaid":
			_, err = fmt.Fprint(s.stdout, topo.Mermaid())
		case s.settings.output == "json":
			return s.writeJSON(topo)
		default:
			_, err = fmt.Fprint(s.stdout, topo)
		}
		return err
	}
	return c
}

// diff compares a kept description with the program's topology.
func (s *session) diff(topo *topology.Topology, file string) error {
	var old []byte
	var err error
	if file == "-" {
		file = "standard input"
		old, err = io.ReadAll(s.stdin)
	} else {
		old, err = os.ReadFile(file)
	}
	if err != nil {
		return err
	}
	is, err := json.Marshal(topo)
	if err != nil {
		return err
	}
	found, err := plan.Diff(old, is)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if s.settings.output == "json" {
		err = s.writeJSON(append([]plan.Difference{}, found...))
	} else {
		err = s.writeDifferences(found)
	}
	unsafe := 0
	for _, d := range found {
		if d.Level != plan.Safe {
			unsafe++
		}
	}
	if err == nil && unsafe > 0 {
		err = &failure{exitDiffers, fmt.Errorf("%s not safe", counted(int64(unsafe), "difference is", "differences are"))}
	}
	return err
}

func (s *session) writeDifferences(found []plan.Difference) error {
	if len(found) == 0 {
		_, err := fmt.Fprintln(s.stdout, "no difference")
		return err
	}
	t := tabwriter.NewWriter(s.stdout, 0, 0, 3, ' ', 0)
	for _, d := range found {
		fmt.Fprintf(t, "%s\t%s: %s\n", d.Level, d.What, d.Text)
	}
	return t.Flush()
}

// writeJSON writes a value for programs.
func (s *session) writeJSON(v any) error {
	out := json.NewEncoder(s.stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(v)
}
