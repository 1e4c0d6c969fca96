package cmd

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tidemark-dev/tidemark/topology"
)

func (s *session) topologyCommand() command {
	return command{
		name: "topology",
		help: "print what is read, kept and written; needs no Kafka",
		run: func(_ context.Context, args []string) error {
			if err := arguments(args, 0, 0, "none"); err != nil {
				return err
			}
			topo, err := s.topology()
			if err != nil {
				return err
			}
			if s.settings.output == "json" {
				return s.writeJSON(groups(topo))
			}
			_, err = fmt.Fprint(s.stdout, topo)
			return err
		},
	}
}

// A group is one of a topology's, for -o json.
type group struct {
	Group     string   `json:"group"`
	Input     string   `json:"input"`
	Table     string   `json:"table"`
	Changelog string   `json:"changelog"`
	Outputs   []string `json:"outputs"`
	Sinks     []string `json:"sinks"`
}

func groups(topo *topology.Topology) []group {
	all := []group{}
	for _, g := range singles(topo) {
		one := group{g.Name, g.Input, g.Store, g.Table, append([]string{}, g.Outputs...), []string{}}
		for _, sink := range g.Sinks {
			one.Sinks = append(one.Sinks, sink.String())
		}
		all = append(all, one)
	}
	return all
}

// writeJSON writes a value for programs.
func (s *session) writeJSON(v any) error {
	out := json.NewEncoder(s.stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(v)
}
