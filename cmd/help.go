package cmd

import (
	"context"
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
)

// overview lists the commands.
func (s *session) overview(w io.Writer, commands []command) error {
	fmt.Fprintf(w, "Usage: %s COMMAND [arguments and flags]\n\n", programName(s.name))
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, c := range commands {
		fmt.Fprintf(t, "  %s\t%s\n", strings.TrimSpace(c.name+" "+c.args), c.help)
	}
	return t.Flush()
}

// help explains the program.
func (s *session) help(w io.Writer, commands []command) error {
	if err := s.overview(w, commands); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nFlags of every command; each may also stand in the environment, --state-dir as %s:\n\n", variable("state-dir"))
	if err := writeFlags(w, s.settings.flags, func(string) bool { return true }); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", exitCodes)
	return err
}

// helpFor explains a command, or the part of it that the arguments name.
func (s *session) helpFor(w io.Writer, c command, args []string) error {
	shown := func(string) bool { return true }
	if i := slices.IndexFunc(c.parts, func(p part) bool { return len(args) > 0 && p.name == args[0] }); i >= 0 {
		p := c.parts[i]
		c = command{name: c.name + " " + p.name, args: p.args, help: p.help, more: p.more, flags: c.flags}
		if shown = func(name string) bool { return slices.Contains(p.flags, name) }; len(p.flags) == 0 {
			c.flags = nil
		}
	}
	fmt.Fprintf(w, "Usage: %s [flags]\n\n%s.\n", strings.TrimSpace(programName(s.name)+" "+c.name+" "+c.args), sentence(c.help))
	if c.more != "" {
		fmt.Fprintf(w, "\n%s\n", c.more)
	}
	if c.flags != nil {
		own := flag.NewFlagSet(c.name, flag.ContinueOnError)
		c.flags(own)
		fmt.Fprintf(w, "\nFlags:\n\n")
		if err := writeFlags(w, own, shown); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\nFlags of every command are listed by %s help.\n%s\n", programName(s.name), exitCodes)
	return err
}

func writeFlags(w io.Writer, flags *flag.FlagSet, shown func(name string) bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	flags.VisitAll(func(f *flag.Flag) {
		if !shown(f.Name) {
			return
		}
		value, text := flag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "0" && f.DefValue != "false" && f.DefValue != "0s" {
			text += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		fmt.Fprintf(t, "  %s\t%s\n", strings.TrimSpace(dashed(f.Name)+" "+value), text)
	})
	return t.Flush()
}

// version prints what was built into the program.
func (s *session) version(_ context.Context, args []string) error {
	if err := arguments(args, 0, 0, "none"); err != nil {
		return err
	}
	const library = "github.com/tidemark-dev/tidemark"
	name, own, tidemark := programName(s.name), "unknown", "unknown"
	if build, ok := debug.ReadBuildInfo(); ok {
		own = build.Main.Version
		if build.Main.Path == library {
			tidemark = own
		}
		for _, m := range build.Deps {
			if m.Path == library {
				tidemark = m.Version
			}
		}
	}
	if s.settings.output == "json" {
		return s.writeJSON(map[string]string{"program": name, "version": own, "tidemark": tidemark, "go": runtime.Version()})
	}
	_, err := fmt.Fprintf(s.stdout, "%s %s\ntidemark %s\n%s\n", name, own, tidemark, runtime.Version())
	return err
}

// programName is the name without the command that was added to it.
func programName(name string) string {
	name, _, _ = strings.Cut(name, " ")
	return name
}

func sentence(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
