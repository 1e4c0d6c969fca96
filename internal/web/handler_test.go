package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/internal/web"
	"github.com/tidemark-dev/tidemark/internal/web/webtest"
	"github.com/tidemark-dev/tidemark/topology"
)

// serve answers a request for path, which is not cleaned.
func serve(h http.Handler, path string, header ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "localhost:9610"
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func refusal(t *testing.T, r *http.Response) web.Problem {
	t.Helper()
	var p web.Problem
	if err := json.Unmarshal([]byte(text(t, r)), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func alone(t *testing.T) (*webtest.Instance, http.Handler) {
	t.Helper()
	topo := webtest.Topology(t)
	h := webtest.New(topo, 0, 1)
	return h, web.NewHandler(web.Cluster{Here: h, Topology: topo})
}

func TestHandlerGet(t *testing.T) {
	h, handler := alone(t)
	for i, key := range []string{"plain", "a/b", "a//b", "a:b", "..", ".", "", "ü 日本", "50%", "a?b&c=d", "a+b"} {
		h.Put(t, webtest.Greeters.Name, key, fmt.Sprintf(`{"count":%d}`, i))
		for _, path := range []string{
			"/v1/tables/greeters/" + url.PathEscape(key),
			"/v1/tables/greeters/" + strings.ReplaceAll(url.PathEscape(key), "%2F", "/"),
			"/v1/tables/greeters?key=" + url.QueryEscape(key),
		} {
			r := serve(handler, path)
			if got, want := text(t, r), fmt.Sprintf("{\"count\":%d}\n", i); r.StatusCode != 200 || got != want {
				t.Errorf("%s: got %d %s, want %s", path, r.StatusCode, got, want)
			}
			if got := r.Header.Get("Tidemark-Offset"); got != fmt.Sprint(i) {
				t.Errorf("%s: offset %s, want %d", path, got, i)
			}
			if want := fmt.Sprint(h.Partition([]byte(key))); r.Header.Get("Tidemark-Partition") != want {
				t.Errorf("%s: partition %s, want %s", path, r.Header.Get("Tidemark-Partition"), want)
			}
		}
	}
	h.Put(t, webtest.Numerals.Name, "7", "seven")
	if got := text(t, serve(handler, "/v1/tables/numerals/7")); got != "\"seven\"\n" {
		t.Errorf("numerals: got %s", got)
	}
}

func TestHandlerRefuses(t *testing.T) {
	_, handler := alone(t)
	for _, c := range []struct {
		path, code string
		status     int
	}{
		{"/v1/tables/greeters/nobody", web.CodeNoSuchKey, 404},
		{"/v1/tables/strangers/nobody", web.CodeNoSuchTable, 404},
		{"/v1/tables/strangers", web.CodeNoSuchTable, 404},
		{"/v1/tables/numerals/seven", web.CodeBadRequest, 400},
		{"/v1/tables/numerals?prefix=seven", web.CodeBadRequest, 400},
		{"/v1/tables/greeters?limit=0", web.CodeBadRequest, 400},
		{"/v1/tables/greeters?limit=10001", web.CodeBadRequest, 400},
		{"/v1/tables/greeters?limt=5", web.CodeBadRequest, 400},
		{"/v1/tables/greeters?local=perhaps", web.CodeBadRequest, 400},
		{"/v2", web.CodeNoSuchPage, 404},
	} {
		r := serve(handler, c.path)
		p := refusal(t, r)
		if r.StatusCode != c.status || p.Code != c.code || p.Message == "" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d %+v, want %d %s", c.path, r.StatusCode, p, c.status, c.code)
		}
		if c.code == web.CodeNoSuchTable && len(p.Tables) != 2 {
			t.Errorf("%s: names %v, want both tables", c.path, p.Tables)
		}
	}
	for _, path := range []string{"/", "/v1/tables/greeters/k", "/readyz"} {
		w := httptest.NewRecorder()
		post := httptest.NewRequest(http.MethodPost, path, nil)
		post.Host = "localhost"
		handler.ServeHTTP(w, post)
		if p := refusal(t, w.Result()); w.Code != 405 || p.Code != web.CodeMethod || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: got %d %+v", path, w.Code, p)
		}
	}
}

func TestHandlerElsewhere(t *testing.T) {
	topo, first, second := webtest.Pair(t)
	handler := web.NewHandler(web.Cluster{Here: first, Topology: topo})
	key := "k0"
	for i := range 8 {
		if k := fmt.Sprintf("k%d", i); first.Partition([]byte(k)) == 1 {
			key = k
		}
	}
	path := "/v1/tables/greeters/" + key
	if r := serve(handler, path); r.StatusCode != 200 || r.Header.Get("Tidemark-Partition") != "1" {
		t.Errorf("the owner was not asked: %d %s", r.StatusCode, text(t, r))
	}
	if r := serve(handler, "/v1/tables/greeters/x2"); r.StatusCode != 404 {
		t.Errorf("a missing key: got %d %s", r.StatusCode, text(t, r))
	}
	for _, r := range []*http.Response{serve(handler, path+"?local=1"), serve(handler, "/v1/tables/greeters?key="+key, "Tidemark-Hop", "1")} {
		if p := refusal(t, r); r.StatusCode != 421 || p.Code != web.CodeElsewhere || p.Owner != first.Owner[1] || r.Header.Get("Tidemark-Owner") != p.Owner {
			t.Errorf("asked on: got %d %+v", r.StatusCode, p)
		}
	}
	second.Restoring = 5
	if r := serve(handler, path); r.StatusCode != 503 || refusal(t, r).Code != web.CodeRestoring {
		t.Errorf("the owner restores: got %d", r.StatusCode)
	}
	first.Owner[1] = "localhost:1"
	if r := serve(handler, path); r.StatusCode != 421 {
		t.Errorf("the owner is out of reach: got %d", r.StatusCode)
	}
	if r := serve(handler, "/v1/tables/greeters"); r.StatusCode != 421 {
		t.Errorf("rows, with an owner out of reach: got %d", r.StatusCode)
	}
	_, third, _ := webtest.Pair(t) // it has partition 0 only
	wrong := httptest.NewServer(web.NewHandler(web.Cluster{Here: third, Topology: topo}))
	defer wrong.Close()
	first.Owner[1] = strings.TrimPrefix(wrong.URL, "http://")
	for _, asked := range []string{path, "/v1/tables/greeters"} {
		if r := serve(handler, asked); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
			t.Errorf("%s, while a partition moves: got %d %s", asked, r.StatusCode, text(t, r))
		}
	}
	first.Owner[1] = web.Nobody // while it is handed over
	if r := serve(handler, "/v1/tables/greeters"); r.StatusCode != 503 || refusal(t, r).Code != web.CodeRestoring {
		t.Errorf("rows, while a partition is handed over: got %d", r.StatusCode)
	}
	first.Owner[1] = "" // its owner advertises nothing
	if r := serve(handler, "/v1/tables/greeters"); r.StatusCode != 421 || !strings.Contains(refusal(t, r).Message, "is Advertise set") {
		t.Errorf("rows of an instance that advertises nothing: got %d", r.StatusCode)
	}
}

func TestHandlerRestoring(t *testing.T) {
	h, handler := alone(t)
	h.State, h.Restoring = "restoring", 7
	for _, path := range []string{"/v1/tables/greeters/k", "/v1/tables/greeters", "/v1/tables/greeters?watch=1", "/readyz"} {
		r := serve(handler, path)
		p := refusal(t, r)
		if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || p.State != "restoring" || p.Restore != 28 {
			t.Errorf("%s: got %d %+v", path, r.StatusCode, p)
		}
	}
	if r := serve(handler, "/livez"); r.StatusCode != 200 {
		t.Errorf("/livez: %d", r.StatusCode)
	}
	h.State = "failed"
	if r := serve(handler, "/livez"); r.StatusCode != 503 {
		t.Errorf("/livez of a failed instance: %d", r.StatusCode)
	}
}

func TestHandlerScan(t *testing.T) {
	topo, first, _ := webtest.Pair(t)
	handler := web.NewHandler(web.Cluster{Here: first, Topology: topo})
	keys := func(query string) (found []string, next string) {
		t.Helper()
		r := serve(handler, "/v1/tables/greeters"+query)
		body := text(t, r)
		if r.StatusCode != 200 {
			t.Fatalf("%s: %d %s", query, r.StatusCode, body)
		}
		for line := range strings.Lines(body) {
			var row web.Row
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf(`{"count":%s}`, string(row.Key[1:])); string(row.Value) != want {
				t.Errorf("%s: %s is %s, want %s", query, row.Key, row.Value, want)
			}
			found = append(found, string(row.Key))
		}
		return found, r.Header.Get("Tidemark-Next")
	}
	for _, c := range []struct {
		query string
		want  []string
		next  string
	}{
		{"", []string{"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"}, ""},
		{"?limit=3", []string{"k0", "k1", "k2"}, "k3"},
		{"?limit=8", []string{"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"}, ""},
		{"?from=k5", []string{"k5", "k6", "k7"}, ""},
		{"?prefix=k&from=k6", []string{"k6", "k7"}, ""},
		{"?prefix=k3", []string{"k3"}, ""},
		{"?prefix=z", nil, ""},
		{"?from=k2&to=k4", []string{"k2", "k3"}, ""},
	} {
		got, next := keys(c.query)
		if diff := gocmp.Diff(c.want, got); diff != "" || next != c.next {
			t.Errorf("%q: next %q, want %q; %s", c.query, next, c.next, diff)
		}
	}
	here, _ := keys("?local=1")
	if n := len(here); n == 0 || n == 8 {
		t.Errorf("local: got %v, want the rows of one partition", here)
	}
}

func TestHandlerWatch(t *testing.T) {
	h, handler := alone(t)
	h.Put(t, webtest.Greeters.Name, "k0", `{"count":0}`)
	h.Next[webtest.Greeters.Name] = make(chan topology.Raw)
	server := httptest.NewServer(handler)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/v1/tables/greeters?watch=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	want := func(line string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != line {
			t.Fatalf("got %q, %v, want %q", lines.Text(), lines.Err(), line)
		}
	}
	want(`{"key":"k0","value":{"count":0},"partition":` + fmt.Sprint(h.Partition([]byte("k0"))) + `,"offset":0}`)
	h.Next[webtest.Greeters.Name] <- topology.Raw{Key: []byte("k0"), Position: topology.Position{Partition: 1, Offset: 5}}
	want(`{"key":"k0","deleted":true,"partition":1,"offset":5}`)
	close(h.Next[webtest.Greeters.Name]) // the processor stops
	if lines.Scan() {
		t.Errorf("got %q behind the end", lines.Text())
	}
}

// A watch of an empty table says that it has begun.
func TestHandlerWatchEmpty(t *testing.T) {
	h, handler := alone(t)
	h.Next[webtest.Greeters.Name] = make(chan topology.Raw)
	server := httptest.NewServer(handler)
	defer server.Close()
	defer close(h.Next[webtest.Greeters.Name])
	r, err := http.Get(server.URL + "/v1/tables/greeters?watch=1")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != 200 {
		t.Errorf("got %d", r.StatusCode)
	}
}

func TestHandlerPages(t *testing.T) {
	_, handler := alone(t)
	for path, want := range map[string]string{
		"/":            "<!doctype html>",
		"/v1/tables":   `"table":"greeters","topic":"app-greeters-table","state":"running","partitions":[0,1]`,
		"/v1/status":   `"state":"running"`,
		"/v1/topology": "application app",
		"/livez":       `{"state":"running"}`,
		"/readyz":      `{"state":"running"}`,
		"/metrics":     "tidemark_records_total 7\n",
	} {
		r := serve(handler, path)
		if body := text(t, r); r.StatusCode != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: got %d %s, want %s in it", path, r.StatusCode, body, want)
		}
	}
}
