// Package cmd turns a topology into a command-line program. A main function
// that calls Main has the commands run, demo, send, tables, topology, status,
// version and help; data goes to standard output, everything else to standard
// error, and each kind of failure has an exit code of its own.
package cmd

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/topology"
)

// A Program is what Main runs.
type Program struct {
	// Build makes the topology, after flags and environment are read. Required.
	Build func() (*topology.Topology, error)

	// Config gives settings that are not flags, and the flags' defaults.
	Config processor.Config

	// Demo makes the command demo. Defaults to having none.
	Demo Demo

	// Commands are added to tidemark's own.
	Commands []Command
}

// A Demo runs the program on servers of its own and compares, at the end, what
// the journal, the tables and the sinks hold.
type Demo struct {
	// Start starts the servers, which end with ctx, and returns values for flags.
	// They override what the user gave.
	Start func(ctx context.Context) (flags map[string]string, err error)

	// Record returns the i-th record to send, from 0. Its Topic, Key and Value are
	// used, and its Headers. Required beside Start.
	Record func(i int) (topology.Raw, error)

	// Lookup returns the value that the sinks' target holds for a row of a table,
	// nil if it holds none. The key is text, as the table's Format writes it.
	// Defaults to comparing the sinks' keys only.
	Lookup func(ctx context.Context, table string, key []byte) (value []byte, err error)
}

// A Command is a command of the program's own.
type Command struct {
	Name string // what is typed
	Args string // what may follow, for the help: "KEY TEXT"
	Help string // one line

	// Run is given a processor that is configured and does not run, and the
	// arguments without flags.
	Run func(ctx context.Context, p *processor.Processor, args []string) error
}

// Main runs the command that os.Args names (help lists them) and exits. Flags
// that the program has defined with package flag become flags of every command,
// and like tidemark's own are also read from the environment: -redis from
// TIDEMARK_REDIS. A flag beats the environment, which beats the default.
//
// It exits with 0, 1 for an error, 2 for wrong usage, 3 for no such key, 4 for
// a difference found, 5 for not ready. After SIGINT or SIGTERM a command ends
// what it has begun; a second signal ends the process with 130 or 143.
func Main(p Program) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	s := session{
		program: p,
		name:    filepath.Base(os.Args[0]),
		adopted: flag.CommandLine,
		env:     os.LookupEnv,
		stdin:   os.Stdin,
		stdout:  os.Stdout,
		stderr:  os.Stderr,
	}
	os.Exit(s.main(os.Args[1:], signals))
}
