package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tidemark-dev/tidemark/internal/web"
	"github.com/tidemark-dev/tidemark/processor"
)

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
	mux.HandleFunc("/v1/tables/hourly", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		switch q := r.URL.Query(); {
		case q.Get("key") != "a\n" || q.Get("since") != "2026-11-25T08:00:00Z":
			problem(w, 404, "no_such_key")
		case q.Get("from") == "":
			w.Header().Set("Tidemark-Next", "n+2")
			fmt.Fprintln(w, `{"key":"n\t1","value":1,"partition":3,"offset":9}`)
		case q.Get("from") == "n 2":
			fmt.Fprintln(w, `{"key":"n 2\udcfb","value":2,"partition":3,"offset":9}`)
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
		{[]string{"tables", "get", "hourly", `a\n`, "--since", "2026-11-25T08:00:00Z"}, 0, `n\t1` + "\t1\n" + `n 2\xfb` + "\t2\n"},
		{[]string{"tables", "get", "hourly", `a\n`, "--since", "2026-11-25T08:00:00Z", "--limit", "2"}, 0, `n\t1` + "\t1\n" + `n 2\xfb` + "\t2\n"},
		{[]string{"tables", "get", "hourly", `a\n`}, 3, ""},
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
	if code != 5 || !strings.Contains(stdout, "counter is restoring") || !strings.Contains(stdout, "1,234") {
		t.Errorf("status: exit %d, %s", code, stdout)
	}
}

// What scan and watch print, send reads: byte for byte.
func TestRowsAreReadBack(t *testing.T) {
	topo, err := program().Build()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s := session{stdout: &out}
	in := recordReader{lineFormat: lineFormat{separator: "\t", null: true}, topic: counts.Name, topo: topo, unknown: map[string]bool{}, warn: func(string) {}}
	for _, key := range []string{"", "a b", "a\nb\tc\r", "x\xfb", "\xff\x00", `\`, `a\n`, "\u009b\u202e", "\uFFFD", "ü😀", `"q"`} {
		for _, value := range []string{`{"n":1}`, `{"n":2,"s":"\u009b\n"}`, ""} {
			out.Reset()
			line := web.Row{Key: web.Text(key), Value: json.RawMessage(value), Deleted: value == ""}
			text, err := json.Marshal(line)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.printRow(text); err != nil {
				t.Fatal(err)
			}
			r, err := in.line(strings.TrimSuffix(out.String(), "\n"))
			if err != nil || string(r.Key) != key || string(r.Value) != value {
				t.Errorf("%q %s: printed as %q, read as %q %s, %v", key, value, &out, r.Key, r.Value, err)
			}
		}
	}
}

// Who asks a program that is no instance is told so.
func TestAnotherProgram(t *testing.T) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1)) // the request has come
			_, _ = io.WriteString(conn, "-ERR unknown command\r\n")
			conn.Close()
		}
	}()
	code, _, stderr := invoke(t, program(), "", "status", "--addr", l.Addr().String())
	if code != 1 || !strings.Contains(stderr, "is it another program that listens there?") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}
