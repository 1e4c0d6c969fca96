package cmd

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"
)

// A parser reads flags as package flag does, but wherever they stand, and goes
// on after an error, so that everything wrong is told at once.
type parser struct {
	flags *flag.FlagSet
	given map[string]bool // by a flag or the environment
	typed map[string]bool // by a flag
	wrong []error
	help  bool
}

func newParser(flags *flag.FlagSet) *parser {
	return &parser{flags: flags, given: map[string]bool{}, typed: map[string]bool{}}
}

// leading takes flags off the front and returns the rest.
func (p *parser) leading(args []string) []string {
	for len(args) > 0 && isFlag(args[0]) {
		args = p.one(args)
	}
	return args
}

// all takes every flag out and returns the arguments; what follows "--" is no flag.
func (p *parser) all(args []string) (arguments []string) {
	for len(args) > 0 {
		switch {
		case args[0] == "--":
			return append(arguments, args[1:]...)
		case isFlag(args[0]):
			args = p.one(args)
		default:
			arguments, args = append(arguments, args[0]), args[1:]
		}
	}
	return arguments
}

// isFlag reports whether an argument is a flag. A lone dash and a negative
// number are not.
func isFlag(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && arg != "--" && (arg[1] < '0' || arg[1] > '9')
}

// one takes a flag, and its value if it has one, off the front.
func (p *parser) one(args []string) (rest []string) {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(args[0], "-"), "-"), "=")
	rest = args[1:]
	f := p.flags.Lookup(name)
	switch {
	case f == nil && (name == "h" || name == "help"):
		p.help = true
		return rest
	case f == nil:
		var known []string
		p.flags.VisitAll(func(f *flag.Flag) { known = append(known, f.Name) })
		p.refuse("%s: there is no such flag%s", dashed(name), suggestion(name, known))
		return rest
	case hasValue:
	case isSwitch(f):
		value = "true"
	case len(rest) == 0:
		p.refuse("%s: a value is missing", dashed(name))
		return rest
	default:
		value, rest = rest[0], rest[1:]
	}
	p.given[name], p.typed[name] = true, true
	p.set(dashed(name), name, value)
	return rest
}

// environment sets what was not given as a flag.
func (p *parser) environment(env func(string) (string, bool)) {
	p.flags.VisitAll(func(f *flag.Flag) {
		if value, ok := env(variable(f.Name)); ok && !p.given[f.Name] {
			p.given[f.Name] = true
			p.set(variable(f.Name), f.Name, value)
		}
	})
}

// set sets a flag; where says who asked for it.
func (p *parser) set(where, name, value string) {
	if err := p.flags.Set(name, value); err != nil {
		for errors.Unwrap(err) != nil {
			err = errors.Unwrap(err)
		}
		p.refuse("%s: %q: %w", where, value, plainer(p.flags.Lookup(name), err))
	}
}

func (p *parser) refuse(format string, args ...any) {
	p.wrong = append(p.wrong, fmt.Errorf(format, args...))
}

// plainer says what package flag calls a parse error.
func plainer(f *flag.Flag, err error) error {
	if err.Error() != "parse error" {
		return err
	}
	if g, ok := f.Value.(flag.Getter); ok {
		switch g.Get().(type) {
		case time.Duration:
			return errors.New("want a duration, such as 100ms or 1m30s")
		case bool:
			return errors.New("want true or false")
		case int, int64, uint, uint64, float64:
			return errors.New("want a number")
		}
	}
	return err
}

// dashed is a flag as it is typed.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// variable is the environment's name of a flag.
func variable(name string) string {
	return "TIDEMARK_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func isSwitch(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// suggestion returns `, but "name"?` for the name that was probably meant.
func suggestion(typed string, known []string) string {
	best, least := "", 3
	for _, name := range known {
		if d := distance(typed, name); d < least && d < len(name) {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// distance is the number of letters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := before
			if a[i] != b[j] {
				replaced++
			}
			before = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
