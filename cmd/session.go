package cmd

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// A session is one invocation of the program.
type session struct {
	program Program
	name    string        // what the program is called
	adopted *flag.FlagSet // the program's own flags
	env     func(name string) (string, bool)
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer

	settings settings
	parser   *parser // of the command's flags
}

// A command is one of tidemark's, or the program's. Its run is given the
// arguments without flags.
type command struct {
	name, args string
	help, more string // one line for the list, and what the command's own help adds
	flags      func(*flag.FlagSet)
	parts      []part
	run        func(ctx context.Context, args []string) error
}

// A part is one of the commands within a command. The first one is that of a
// command without arguments.
type part struct {
	name, args string
	help, more string
	arguments  int      // how many follow
	flags      []string // those of the command that are for it
}

// main runs a command to its end or the second signal, and returns the exit code.
func (s *session) main(args []string, signals <-chan os.Signal) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	run, err := s.command(args)
	if err != nil {
		return s.end(err, nil)
	}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	var first os.Signal
	for {
		select {
		case err := <-ended:
			return s.end(err, first)
		case signal := <-signals:
			if first != nil {
				return s.end(errAgain, signal)
			}
			first = signal
			cancel()
		}
	}
}

// errAgain means that a second signal did not wait for the end.
var errAgain = fmt.Errorf("not everything was ended: %w", context.Canceled)

// end says how the command ended, and returns the exit code.
func (s *session) end(err error, signal os.Signal) int {
	var text bytes.Buffer
	code := report(&text, s.name, err, signal)
	_, command, _ := strings.Cut(s.name, " ")
	told := strings.TrimSpace(text.String())
	if s.settings.logFormat != "json" {
		if told != "" {
			fmt.Fprintln(s.stderr, told)
		}
		told = ""
	}
	if command != "run" && told == "" {
		return code
	}
	log, attributes := s.settings.logger(s.stderr), []any{"command", command, "exit_code", code}
	if signal != nil {
		attributes = append(attributes, "signal", signal.String())
	}
	if told != "" {
		attributes = append(attributes, "error", told)
	}
	if code == 0 {
		log.Info("ended", attributes...)
	} else {
		log.Error("ended", attributes...)
	}
	return code
}

// note tells people something beside the command's output.
func (s *session) note(text string) {
	if s.settings.logFormat == "json" {
		s.settings.logger(s.stderr).Info(strings.TrimSpace(text))
		return
	}
	fmt.Fprintln(s.stderr, text)
}

// command finds the command, which may stand behind flags, and returns what runs it.
func (s *session) command(args []string) (run func(context.Context) error, err error) {
	general := flag.NewFlagSet(s.name, flag.ContinueOnError)
	s.settings = settingsFrom(s.program.Config)
	if err := s.define(general); err != nil {
		return nil, err
	}
	s.parser = newParser(general)
	rest := s.parser.leading(args)
	commands := s.commands()
	if err := distinct(commands); err != nil {
		return nil, err
	}
	if len(rest) == 0 {
		if s.parser.help {
			return func(context.Context) error { return s.help(s.stdout, commands) }, nil
		}
		if len(s.parser.wrong) > 0 {
			return nil, settingsError(s.parser.wrong)
		}
		_ = s.overview(s.stderr, commands)
		return nil, usage("which command? (%s help lists the flags, too)", s.name)
	}
	i := slices.IndexFunc(commands, func(c command) bool { return c.name == rest[0] })
	if i < 0 {
		return nil, usage("there is no command %q%s (%s help lists them)", rest[0], suggestion(rest[0], names(commands)), s.name)
	}
	c := commands[i]
	if c.flags != nil {
		c.flags(general)
	}
	given := s.parser.all(rest[1:])
	if s.parser.help {
		return func(context.Context) error { return s.helpFor(s.stdout, c, given) }, nil
	}
	s.parser.environment(s.env)
	s.name += " " + c.name
	if len(s.parser.wrong) > 0 {
		return nil, settingsError(s.parser.wrong)
	}
	return func(ctx context.Context) error { return c.run(ctx, given) }, nil
}

// define makes the flags that every command has.
func (s *session) define(flags *flag.FlagSet) error {
	s.settings.define(flags)
	var twice []string
	s.adopted.VisitAll(func(f *flag.Flag) {
		if flags.Lookup(f.Name) != nil {
			twice = append(twice, "-"+f.Name)
			return
		}
		flags.Var(f.Value, f.Name, f.Usage)
		flags.Lookup(f.Name).DefValue = f.DefValue
	})
	if twice != nil {
		return fmt.Errorf("the program defines %s, which is tidemark's own: it needs another name", strings.Join(twice, ", "))
	}
	return nil
}

// commands returns tidemark's own and the program's.
func (s *session) commands() []command {
	all := []command{s.runCommand()}
	if s.program.Demo.Start != nil {
		all = append(all, s.demoCommand())
	}
	all = append(all, s.sendCommand(), s.tablesCommand(), s.topologyCommand(), s.statusCommand(), s.setBackCommand())
	for _, own := range s.program.Commands {
		all = append(all, command{
			name: own.Name, args: own.Args, help: own.Help,
			run: func(ctx context.Context, args []string) error {
				_, p, err := s.processor()
				if err != nil {
					return err
				}
				return own.Run(ctx, p, args)
			},
		})
	}
	version := command{name: "version", help: "print the versions of the program, tidemark and Go", run: s.version}
	help := command{name: "help", args: "[COMMAND]", help: "explain the program or a command"}
	help.run = func(_ context.Context, args []string) error {
		if len(args) == 0 {
			return s.help(s.stdout, append(all, version, help))
		}
		for _, c := range append(all, version, help) {
			if c.name == args[0] {
				return s.helpFor(s.stdout, c, args[1:])
			}
		}
		return usage("there is no command %q%s", args[0], suggestion(args[0], names(all)))
	}
	return append(all, version, help)
}

func distinct(commands []command) error {
	seen := map[string]bool{}
	for _, c := range commands {
		if seen[c.name] || c.name == "" {
			return fmt.Errorf("the program's command %q needs another name", c.name)
		}
		seen[c.name] = true
	}
	return nil
}

func names(commands []command) []string {
	all := make([]string, len(commands))
	for i, c := range commands {
		all[i] = c.name
	}
	return all
}

// topology builds the program's topology.
func (s *session) topology() (*topology.Topology, error) {
	if s.program.Build == nil {
		return nil, fmt.Errorf("the program has no Build")
	}
	return s.program.Build()
}

// processor builds the topology and a processor for it, as the settings say. The
// error lists all that is wrong with both.
func (s *session) processor() (*topology.Topology, *processor.Processor, error) {
	topo, wrong := s.topology()
	config := s.settings.processor(topo, s.stderr)
	if err := config.Validate(); err != nil {
		wrong = errors.Join(wrong, s.settings.inFlags(err))
	}
	if wrong != nil {
		return nil, nil, &failure{exitUsage, wrong}
	}
	p, err := processor.New(topo, config)
	return topo, p, err
}

// part returns the part of a command that is typed, and its arguments.
func (s *session) part(c command, args []string) (string, []string, error) {
	if len(args) == 0 {
		args = []string{c.parts[0].name}
	}
	i := slices.IndexFunc(c.parts, func(p part) bool { return p.name == args[0] })
	if i < 0 {
		var known []string
		for _, p := range c.parts {
			known = append(known, p.name)
		}
		return "", nil, usage("there is no \"%s %s\"%s", c.name, args[0], suggestion(args[0], known))
	}
	p := c.parts[i]
	for _, name := range slices.Sorted(maps.Keys(s.parser.typed)) {
		if !slices.Contains(p.flags, name) && slices.ContainsFunc(c.parts, func(other part) bool { return slices.Contains(other.flags, name) }) {
			return "", nil, usage("--%s is not for \"%s %s\"", name, c.name, p.name)
		}
	}
	want := p.args
	if want == "" {
		want = "none"
	}
	return p.name, args[1:], arguments(args[1:], p.arguments, p.arguments, want)
}

// arguments checks their number.
func arguments(args []string, least, most int, want string) error {
	if len(args) < least || len(args) > most {
		return usage("got %d arguments, want %s", len(args), want)
	}
	return nil
}
