package cmd

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// settings are what tidemark's own flags say.
type settings struct {
	config    processor.Config
	onBad     topology.Policy
	address   string // of the view
	output    string
	logLevel  slog.Level
	logFormat string
	flags     *flag.FlagSet
}

// settingsFrom returns the defaults of a program.
func settingsFrom(c processor.Config) settings {
	if len(c.Brokers) == 0 {
		c.Brokers = []string{"localhost:9092"}
	}
	c.CommitInterval = cmp.Or(c.CommitInterval, 100*time.Millisecond)
	c.SessionTimeout = cmp.Or(c.SessionTimeout, 10*time.Second)
	c.StartTimeout = cmp.Or(c.StartTimeout, 30*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 30*time.Second)
	return settings{config: c}
}

// define makes the flags.
func (s *settings) define(f *flag.FlagSet) {
	c := &s.config
	s.flags = f
	f.Var((*list)(&c.Brokers), "brokers", "`addresses` at which Kafka is first reached, with commas between them")
	f.StringVar(&c.StateDir, "state-dir", c.StateDir, "`directory` of the tables and of the instance's identity (default ./<application>-state)")
	f.StringVar(&s.address, "addr", "localhost:9610", "`address` at which the instance is seen and asked; empty for none")
	f.StringVar(&c.Advertise, "advertise", c.Advertise, "`address` of the view for other instances (default --addr, if it is one address)")
	f.Var((*list)(&c.Hosts), "hosts", "`names`, with commas between them, under which the view is asked beside localhost and --advertise; * for any")
	f.Var(oneOf(&c.Guarantee, []string{"exactly-once", "at-least-once"}, processor.ExactlyOnce, processor.AtLeastOnce), "guarantee", "what a crash may do: `exactly-once|at-least-once`")
	f.DurationVar(&c.CommitInterval, "commit-interval", c.CommitInterval, "longest `time` between commits")
	f.DurationVar(&c.MaxTaskIdle, "max-task-idle", c.MaxTaskIdle, "`time` to wait for an input that has run dry, if a task has several; below 0 to wait for none")
	f.DurationVar(&c.SessionTimeout, "session-timeout", c.SessionTimeout, "`time` after which a silent instance is replaced")
	f.DurationVar(&c.StartTimeout, "start-timeout", c.StartTimeout, "`time` that Kafka and the sinks may be out of reach at start")
	f.DurationVar(&c.DrainTimeout, "drain-timeout", c.DrainTimeout, "`time` to end what was begun")
	f.IntVar(&c.Replication, "replication", c.Replication, "`replicas` of topics that are created; 0 for the brokers' default")
	f.Var(oneOf(&s.onBad, []string{"fail", "skip", "dead-letter"}, topology.Fail, topology.Skip, topology.DeadLetter), "on-bad-record", "what happens to input that cannot be processed: `fail|skip|dead-letter`")
	f.Var(oneOf(&s.logLevel, []string{"info", "debug", "warn", "error"}, slog.LevelInfo, slog.LevelDebug, slog.LevelWarn, slog.LevelError), "log-level", "least important `level` to log: debug, info, warn or error")
	f.Var(oneOf(&s.logFormat, []string{"text", "json"}, "text", "json"), "log-format", "`text|json`")
	f.Var(oneOf(&s.output, []string{"table", "json"}, "table", "json"), "o", "output: `table|json`")
}

// processor returns the configuration of a processor for a topology.
func (s *settings) processor(topo *topology.Topology, log io.Writer) processor.Config {
	c := s.config
	application := "application" // to check the settings, if there is no topology
	if topo != nil {
		application = topo.Application()
	}
	c.StateDir = cmp.Or(c.StateDir, "./"+application+"-state")
	if s.onBad != 0 {
		c.Policies = topology.Policies{Decode: s.onBad, Process: s.onBad, Write: s.onBad}
	}
	c.Logger = s.logger(log)
	return c
}

// logger is where the command says what it does.
func (s *settings) logger(w io.Writer) *slog.Logger {
	if s.config.Logger != nil {
		return s.config.Logger
	}
	return slog.New(s.handler(w))
}

func (s *settings) handler(w io.Writer) slog.Handler {
	options := &slog.HandlerOptions{Level: s.logLevel}
	if s.logFormat == "json" {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

var field = regexp.MustCompile(`(?m)^[A-Z][A-Za-z]*`)

// inFlags rewrites what is wrong with a Config in terms of flags.
func (s *settings) inFlags(err error) error {
	return errors.New(field.ReplaceAllStringFunc(err.Error(), func(name string) string {
		var flag strings.Builder
		for i, r := range name {
			if unicode.IsUpper(r) && i > 0 {
				flag.WriteByte('-')
			}
			flag.WriteRune(unicode.ToLower(r))
		}
		if s.flags.Lookup(flag.String()) == nil {
			return name
		}
		return "--" + flag.String()
	}))
}

// A list is a flag of several values with commas between them.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(text string) error {
	*l = nil
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*l = append(*l, part)
		}
	}
	return nil
}

// A choice is a flag of a few values that have names.
type choice[T comparable] struct {
	to     *T
	names  []string
	values []T
}

// oneOf returns a flag for to, whose zero value stands for the first.
func oneOf[T comparable](to *T, names []string, values ...T) *choice[T] {
	return &choice[T]{to, names, values}
}

func (c *choice[T]) String() string {
	if c.to == nil { // package flag asks a zero value
		return ""
	}
	return c.names[max(0, slices.Index(c.values, *c.to))]
}

func (c *choice[T]) Set(text string) error {
	i := slices.Index(c.names, text)
	if i < 0 {
		return fmt.Errorf("want one of %s", strings.Join(c.names, ", "))
	}
	*c.to = c.values[i]
	return nil
}
