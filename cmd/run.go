package cmd

import (
	"context"
	"net"
	"strings"
)

func (s *session) runCommand() command {
	return command{
		name: "run",
		help: "process records, and serve the tables at --addr",
		more: `Runs until SIGTERM or SIGINT, and then commits what was begun; a second signal
ends it at once, and the next start goes on from the last commit. Others reach
the instance at --advertise, or else at --addr if that is one address: name the
machine's own where instances run on several.`,
		run: s.runProcessor,
	}
}

func (s *session) runProcessor(ctx context.Context, args []string) error {
	if err := arguments(args, 0, 0, "none"); err != nil {
		return err
	}
	var listener net.Listener
	if s.settings.address != "" {
		var err error
		if listener, err = listen(s.settings.address); err != nil {
			return err
		}
		s.advertise(listener)
	}
	topo, p, err := s.processor()
	if err != nil {
		if listener != nil {
			listener.Close()
		}
		return err
	}
	s.note(strings.TrimSuffix(topo.String(), "\n"))
	if listener != nil {
		v := serve(ctx, p, listener)
		defer v.stop()
		s.note("The tables are at " + v.url)
		if s.settings.config.Advertise == "" {
			s.note("Other instances do not find this one's rows: --addr names no address, and --advertise is not set")
		}
	}
	return p.Run(ctx)
}

// advertise tells others the address at which the instance listens, unless one
// is set or it listens at all of them.
func (s *session) advertise(listener net.Listener) {
	at, ok := listener.Addr().(*net.TCPAddr)
	if s.settings.config.Advertise == "" && ok && !at.IP.IsUnspecified() {
		s.settings.config.Advertise = at.String()
	}
}
