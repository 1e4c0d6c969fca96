package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/processor"
	"github.com/tidemark-dev/tidemark/processor/embedded"
	"github.com/tidemark-dev/tidemark/topology"
)

type count struct {
	N int `json:"n"`
}

var (
	counts = topology.Topic[string, count]{Name: "counts", Key: codec.String{}, Value: codec.JSON[count]{}}
	latest = topology.Store[string, count]{Name: "latest"}
)

func program() Program {
	return Program{
		Build: func() (*topology.Topology, error) {
			b := topology.NewBuilder("counter")
			topology.Materialize(b, counts, latest)
			return b.Build()
		},
		Demo: Demo{
			Start: func(ctx context.Context) (map[string]string, error) {
				flags, err := embedded.Start(ctx)
				delete(flags, "redis")
				return flags, err
			},
			Record: func(i int) (topology.Raw, error) { return counts.Encode(fmt.Sprintf("k%d", i%7), count{i}) },
		},
		Commands: []Command{{Name: "own", Args: "THING", Help: "do something", Run: func(_ context.Context, _ *processor.Processor, args []string) error {
			return fmt.Errorf("done with %q", args)
		}}},
	}
}

// invoke runs a command line.
func invoke(t *testing.T, p Program, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return invokeUntil(t, p, nil, stdin, args...)
}

func invokeUntil(t *testing.T, p Program, signals <-chan os.Signal, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	adopted := flag.NewFlagSet("", flag.ContinueOnError)
	adopted.String("redis", "localhost:6379", "`address` of Redis")
	var out, errs bytes.Buffer
	s := session{
		program: p, name: "counter", adopted: adopted, env: func(string) (string, bool) { return "", false },
		stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs,
	}
	code = s.main(args, signals)
	return code, out.String(), errs.String()
}

func TestSession(t *testing.T) {
	for _, c := range []struct {
		args   string
		code   int
		stdout string
		stderr string
	}{
		{"", 2, "", "which command?"},
		{"rum", 2, "", `there is no command "rum", did you mean "run"?`},
		{"--help", 0, "Usage: counter COMMAND", ""},
		{"help", 0, "own THING", ""},
		{"help send", 0, "--null", ""},
		{"send -h", 0, "Usage: counter send TOPIC", ""},
		{"version", 0, "tidemark ", ""},
		{"version -o json", 0, `"tidemark": "`, ""},
		{"version now", 2, "", "got 1 arguments"},
		{"topology", 0, "topic counts", ""},
		{"topology -o json", 0, `"inputs": [`, ""},
		{"-o json topology", 0, `"inputs": [`, ""},
		{"topology mermaid", 0, "flowchart LR", ""},
		{"topology mermade", 2, "", `did you mean "mermaid"?`},
		{"topology diff", 2, "", "want OLD.json"},
		{"topology diff nowhere.json", 1, "", "nowhere.json: no such file"},
		{"topology -o yaml", 2, "", `: -o: "yaml": want one of table, json`},
		{"own a -redis x b --state-dir s", 1, "", `done with ["a" "b"]`},
		{"run --session-timeout 1s --advertise x", 2, "", "2 settings are wrong:\n  --advertise: \"x\" is not host:port\n  --session-timeout: 1s"},
		{"send", 2, "", "want TOPIC"},
		{"send counts k", 2, "", "a value is missing"},
		{"send count k {}", 2, "", `did you mean "counts"?`},
		{`send counts k {"n":"x"}`, 1, "", `topic "counts": value`},
		{"send counts k null", 1, "", "null is a tombstone"},
		{"tables gt x", 2, "", `did you mean "get"?`},
		{"tables get x", 2, "", "want TABLE KEY"},
		{"tables --prefix x", 2, "", `--prefix is not for "tables list"`},
		{"tables get latest k --from a", 2, "", `--from is not for "tables get"`},
		{"tables scan latest --since 0", 2, "", `--since is not for "tables scan"`},
		{"tables watch latest --limit 1", 2, "", `--limit is not for "tables watch"`},
		{"tables scan latest --limit -1", 2, "", "--limit: -1 is negative"},
		{`tables get latest a\q`, 2, "", `a backslash is written as \\`},
		{"tables get --help", 0, "Usage: counter tables get TABLE KEY [flags]", ""},
		{"tables --help get", 0, "--since time", ""},
		{"help tables get", 0, "Usage: counter tables get TABLE KEY [flags]", ""},
		{"tables --help", 0, "Usage: counter tables [get TABLE KEY | ", ""},
		{"topology diff -h", 0, "Usage: counter topology diff OLD.json", ""},
		{"tables nothing --help", 0, "Usage: counter tables [get", ""},
		{"tables -x", 2, "", ": -x: there is no such flag"},
		{"tables -o", 2, "", ": -o: a value is missing"},
		{"send counts a {} --key-separator :", 2, "", "--key-separator is for lines"},
		{"send counts --no-key --key-separator :", 2, "", "there is no key"},
		{"send counts k --null --no-key", 2, "", "a record has a key or a value"},
		{"send counts a b --no-key", 2, "", "want TOPIC VALUE --no-key"},
		{"send counts --key-separator=", 2, "", "--key-separator: want a text"},
		{"status --addr=", 2, "", "which instance"},
		{"status --addr localhost:1", 1, "", "nothing listens at localhost:1"},
	} {
		code, stdout, stderr := invoke(t, program(), "", strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) || c.stdout == "" && stdout != "" {
			t.Errorf("%s: exit %d, stdout %s, stderr %s", c.args, code, stdout, stderr)
		}
	}
}

func TestSessionRefusesPrograms(t *testing.T) {
	p := program()
	p.Commands = append(p.Commands, Command{Name: "run"})
	if code, _, stderr := invoke(t, p, "", "help"); code != 1 || !strings.Contains(stderr, `"run" needs another name`) {
		t.Errorf("two commands run: exit %d, %s", code, stderr)
	}
	adopted := flag.NewFlagSet("", flag.ContinueOnError)
	adopted.String("addr", "", "")
	var errs bytes.Buffer
	s := session{program: program(), name: "counter", adopted: adopted, stderr: &errs}
	if code := s.main([]string{"help"}, nil); code != 1 || !strings.Contains(errs.String(), "-addr") {
		t.Errorf("two flags -addr: exit %d, %s", code, &errs)
	}
}

func TestReport(t *testing.T) {
	for _, c := range []struct {
		err    error
		signal os.Signal
		code   int
	}{
		{nil, nil, 0},
		{fmt.Errorf("write: %w", syscall.EPIPE), nil, 0},
		{context.Canceled, syscall.SIGTERM, 143},
		{context.Canceled, nil, 1},
		{fmt.Errorf("x: %w", &failure{exitNoKey, errors.New("y")}), nil, 3},
	} {
		if code := report(&bytes.Buffer{}, "x", c.err, c.signal); code != c.code {
			t.Errorf("%v: exit %d, want %d", c.err, code, c.code)
		}
	}
}

// Without a command the last lines are what to type, not all the flags.
func TestUsageIsShort(t *testing.T) {
	code, stdout, stderr := invoke(t, program(), "")
	if code != 2 || stdout != "" || !strings.Contains(stderr, "own THING") || strings.Contains(stderr, "--commit-interval") {
		t.Errorf("exit %d, stdout %s, stderr %s", code, stdout, stderr)
	}
}

// With --log-format json every line is JSON, whatever ends the command.
func TestLogsAreJSON(t *testing.T) {
	for args, code := range map[string]int{
		"run --session-timeout 1s": 2,
		"run --nonsense":           2,
		"run --brokers localhost:1 --start-timeout 100ms --addr localhost:0": 1,
		"status --addr localhost:1": 1,
		"tables get latest":         2,
		"own a":                     1,
	} {
		got, _, stderr := invoke(t, program(), "", append(strings.Fields(args), "--log-format", "json", "--state-dir", t.TempDir())...)
		last := map[string]any{}
		for line := range strings.Lines(stderr) {
			last = map[string]any{}
			if err := json.Unmarshal([]byte(line), &last); err != nil {
				t.Errorf("%s: %q: %v", args, line, err)
			}
		}
		if got != code || last["msg"] != "ended" || last["exit_code"] != float64(code) || last["error"] == nil {
			t.Errorf("%s: exit %d, %s", args, got, stderr)
		}
	}
}

func TestReportHasNoControlCharacters(t *testing.T) {
	var text bytes.Buffer
	report(&text, "x", errors.New("a\x1b[31m\u009b\nb"), nil)
	if got := text.String(); got != "x: a\uFFFD[31m\uFFFD\nb\n" {
		t.Errorf("got %q", got)
	}
}

// The help of a part has the flags that it takes, and no others.
func TestHelpOfParts(t *testing.T) {
	_, get, _ := invoke(t, program(), "", "tables", "get", "--help")
	_, scan, _ := invoke(t, program(), "", "tables", "scan", "--help")
	_, watch, _ := invoke(t, program(), "", "help", "tables", "watch")
	for flag, want := range map[string][3]bool{"--since": {true, false, false}, "--limit": {true, true, false}, "--prefix": {false, true, false}} {
		if got := [3]bool{strings.Contains(get, flag), strings.Contains(scan, flag), strings.Contains(watch, flag)}; got != want {
			t.Errorf("%s: in the help of get, scan, watch: %v, want %v", flag, got, want)
		}
	}
}

// An error that shows a value of any size is a line that can be read.
func TestReportIsShort(t *testing.T) {
	value := `{"n":"` + strings.Repeat("ü", 1<<20) + `"}`
	code, _, stderr := invoke(t, program(), "", "send", "counts", "k", value)
	if code != 1 || len(stderr) > 1100 || !strings.Contains(stderr, `topic "counts": value {"n":"`) || !strings.HasSuffix(stderr, "of type int\n") {
		t.Errorf("exit %d, %d bytes: %s", code, len(stderr), stderr[:min(len(stderr), 2000)])
	}
}
