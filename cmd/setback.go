package cmd

import (
	"context"
	"fmt"
	"time"
)

func (s *session) setBackCommand() command {
	return command{
		name: "set-back-clocks", args: "[TIME]",
		help: "set clocks back that a record of the future has moved; while no instance runs",
		more: `Windows, TTLs and timers follow the newest time of the records that they have
seen. After one with a wrong time all later ones are late. This sets such clocks
back to TIME (in RFC 3339), which is now by default. What was dropped or expired
meanwhile does not come back. MaxAhead of a topic keeps such records out.`,
		run: s.setBack,
	}
}

func (s *session) setBack(ctx context.Context, args []string) error {
	if err := arguments(args, 0, 1, "[TIME]"); err != nil {
		return err
	}
	to := time.Now()
	if len(args) == 1 {
		var err error
		if to, err = time.Parse(time.RFC3339, args[0]); err != nil {
			return usage("%q is no time in RFC 3339, as %s is", args[0], to.UTC().Format(time.RFC3339))
		}
	}
	_, p, err := s.processor()
	if err != nil {
		return err
	}
	changed, err := p.SetBackClocks(ctx, to)
	if err == nil {
		_, err = fmt.Fprintf(s.stdout, "set back the clocks of %d partitions\n", changed)
	}
	return err
}
