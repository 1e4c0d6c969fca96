package cmd

import (
	"context"
	"fmt"
)

func (s *session) runCommand() command {
	return command{
		name: "run",
		help: "process records, and serve the tables at --addr",
		more: `Runs until SIGTERM or SIGINT, and then commits what was begun; a second signal
ends it at once, and the next start goes on from the last commit.`,
		run: s.runProcessor,
	}
}

func (s *session) runProcessor(ctx context.Context, args []string) error {
	if err := arguments(args, 0, 0, "none"); err != nil {
		return err
	}
	topo, p, err := s.processor()
	if err != nil {
		return err
	}
	fmt.Fprint(s.stderr, topo, "\n")
	if s.settings.address != "" {
		listener, err := listen(s.settings.address)
		if err != nil {
			return err
		}
		v := serve(ctx, p, listener)
		defer v.stop()
		fmt.Fprintf(s.stderr, "The tables are at %s\n", v.url)
	}
	return p.Run(ctx)
}
