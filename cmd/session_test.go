package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

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
		{"topology", 0, "topic counts", ""},
		{"topology -o json", 0, `"input": "counts"`, ""},
		{"-o json topology", 0, `"input": "counts"`, ""},
		{"topology -o yaml", 2, "", `--o: "yaml": want one of table, json`},
		{"own a -redis x b --state-dir s", 1, "", `done with ["a" "b"]`},
		{"run --session-timeout 1s --advertise x", 2, "", "2 settings are wrong:\n  --advertise: \"x\" is not host:port\n  --session-timeout: 1s"},
		{"send", 2, "", "want TOPIC"},
		{"send counts k", 2, "", "a value is missing"},
		{"send count k {}", 2, "", `did you mean "counts"?`},
		{`send counts k {"n":"x"}`, 1, "", `topic "counts": value`},
		{"send counts k null", 1, "", "counts"},
		{"tables gt x", 2, "", `did you mean "get"?`},
		{"tables get x", 2, "", "want TABLE KEY"},
		{"tables --prefix x", 2, "", "--prefix is for scan"},
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

// An instance answers what it may answer; the exit code says which.
func TestTables(t *testing.T) {
	problem := func(w http.ResponseWriter, status int, code string) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]string{"error": "because", "code": code})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/tables/latest", func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); {
		case q.Get("key") == "a b":
			w.Header().Set("Tidemark-Partition", "3")
			w.Header().Set("Tidemark-Offset", "9")
			fmt.Fprintln(w, `{"n":1}`)
		case q.Has("key"):
			problem(w, 404, "no_such_key")
		case q.Get("from") == "":
			w.Header().Set("Tidemark-Next", "c+d")
			fmt.Fprintln(w, `{"key":"a b","value":{"n":1},"partition":3,"offset":9}`)
		default:
			fmt.Fprintf(w, "{\"key\":%q,\"value\":{\"n\":2}}\n{\"error\":\"because\",\"code\":\"restoring\"}\n", q.Get("from"))
		}
	})
	mux.HandleFunc("/v1/tables/elsewhere", func(w http.ResponseWriter, _ *http.Request) { problem(w, 421, "elsewhere") })
	mux.HandleFunc("/v1/tables/restoring", func(w http.ResponseWriter, _ *http.Request) { problem(w, 503, "restoring") })
	mux.HandleFunc("/v1/status", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(processor.Status{Application: "counter", State: processor.Restoring, Tasks: []processor.TaskStatus{{Group: "g", Restore: 1234}}})
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, c := range []struct {
		args   []string
		code   int
		stdout string
	}{
		{[]string{"tables", "get", "latest", "a b"}, 0, "{\"n\":1}\n"},
		{[]string{"tables", "get", "-o", "json", "latest", "a b"}, 0, `{"key":"a b","value":{"n":1},"partition":3,"offset":9}` + "\n"},
		{[]string{"tables", "get", "latest", "b"}, 3, ""},
		{[]string{"tables", "get", "elsewhere", "b"}, 1, ""},
		{[]string{"tables", "get", "restoring", "b"}, 5, ""},
		{[]string{"tables", "get", "other program", "b"}, 1, ""},
		{[]string{"tables", "scan", "latest", "--limit", "1"}, 0, "a b\t{\"n\":1}\n"},
		{[]string{"tables", "scan", "latest", "--limit", "0"}, 5, "a b\t{\"n\":1}\nc d\t{\"n\":2}\n"},
	} {
		code, stdout, stderr := invoke(t, program(), "", append(c.args, "--addr", strings.TrimPrefix(server.URL, "http://"))...)
		if code != c.code || stdout != c.stdout || (code != 0) != (stderr != "") && c.args[1] != "scan" {
			t.Errorf("%q: exit %d, stdout %s, stderr %s", c.args, code, stdout, stderr)
		}
	}
	code, stdout, _ := invoke(t, program(), "", "status", "--addr", strings.TrimPrefix(server.URL, "http://"))
	if code != 5 || !strings.Contains(stdout, "counter  is restoring") || !strings.Contains(stdout, "1,234") {
		t.Errorf("status: exit %d, %s", code, stdout)
	}
}

func TestSend(t *testing.T) {
	flags, err := embedded.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	send := func(stdin string, args ...string) (int, string) {
		t.Helper()
		code, _, stderr := invoke(t, program(), stdin, append([]string{"send", "counts", "--brokers", flags["brokers"]}, args...)...)
		return code, stderr
	}
	if code, stderr := send("", "k", `{"n":1}`); code != 1 || !strings.Contains(stderr, `topic "counts" does not exist`) {
		t.Errorf("exit %d, %s", code, stderr)
	}
	s := session{settings: settingsFrom(processor.Config{Brokers: []string{flags["brokers"]}})}
	client, err := s.kafka()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := createTopics(client, []string{"counts"}, 3); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		stdin string
		args  []string
		code  int
		want  string
	}{
		{"", []string{"k", `{"n":1}`}, 0, "1 record sent"},
		{"", []string{"k", "--null"}, 0, "1 record sent"},
		{"a\t{\"n\":2}\n\nb {\"n\": 3}\r\nc d\t{\"n\":4}", nil, 0, "3 records sent"},
		{"a\nb c\n", []string{"--null"}, 0, "2 records sent"},
		{"a {\"n\":5}\nb {\"n\":\n", nil, 1, "line 2: topic \"counts\": value"},
		{"a\n", nil, 1, "line 1: \"a\" has a key and no value"},
	} {
		if code, stderr := send(c.stdin, c.args...); code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%q %q: exit %d, %s", c.stdin, c.args, code, stderr)
		}
	}
	got := map[string]string{}
	for partition := range int32(3) {
		err := readPartition(t.Context(), client, "counts", partition, func(r topology.Raw) error {
			if p := topology.Partition(r.Key, 3); p != r.Partition {
				t.Errorf("%s is in partition %d, want %d", r.Key, r.Partition, p)
			}
			got[string(r.Key)] += string(r.Value) + ";"
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"k": `{"n":1};;`, "a": `{"n":2};;{"n":5};`, "b": `{"n":3};`, "c d": `{"n":4};`, "b c": ";"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRun(t *testing.T) {
	flags, err := embedded.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := session{settings: settingsFrom(processor.Config{Brokers: []string{flags["brokers"]}})}
	client, err := s.kafka()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := createTopics(client, []string{"counts"}, 3); err != nil {
		t.Fatal(err)
	}
	l, err := listen("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	args := []string{"run", "--brokers", flags["brokers"], "--state-dir", t.TempDir(), "--addr", address}
	if code, _, stderr := invoke(t, program(), "", args...); code != 1 || !strings.Contains(stderr, address+" is taken") {
		t.Errorf("a taken port: exit %d, %s", code, stderr)
	}
	l.Close()

	signals := make(chan os.Signal, 1)
	go func() {
		for t.Context().Err() == nil {
			if code, _, _ := invoke(t, program(), "", "status", "--addr", address); code == 0 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		signals <- syscall.SIGTERM
	}()
	code, stdout, stderr := invokeUntil(t, program(), signals, "", args...)
	if code != 0 || stdout != "" || !strings.Contains(stderr, "application counter") {
		t.Errorf("exit %d, stdout %s, stderr %s", code, stdout, stderr)
	}
}

func TestSecondSignal(t *testing.T) {
	p := program()
	p.Commands[0].Run = func(context.Context, *processor.Processor, []string) error { select {} }
	signals := make(chan os.Signal, 2)
	signals <- syscall.SIGTERM
	signals <- syscall.SIGINT
	if code, _, _ := invokeUntil(t, p, signals, "", "own"); code != 130 {
		t.Errorf("exit %d, want 130", code)
	}
}

func TestDemo(t *testing.T) {
	code, stdout, stderr := invoke(t, program(), "", "demo", "--records", "500", "--rate", "0")
	if code != 0 || !strings.Contains(stdout, "500 records acknowledged, 500 in the journal, 500 processed here") ||
		!strings.Contains(stdout, "Journal, tables and sinks agree.") {
		t.Errorf("exit %d, stdout %s, stderr %s", code, stdout, stderr)
	}
}

func TestCompared(t *testing.T) {
	c := compared("here", texts{"a": "1", "b": "2", "c": "3"}, texts{"a": "1", "b": "0", "d": "4"})
	if c.right != 1 || c.wrong != 1 || c.missing != 1 || c.extra != 1 || c.example == "" || c.agrees() {
		t.Errorf("got %+v", c)
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 12: "12", 123: "123", 1234: "1,234", -123: "-123", -1234567: "-1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}
