package cmd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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
