package processor

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

func refusal(t *testing.T, r *http.Response) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(text(t, r)), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func alone(t *testing.T) (*held, http.Handler) {
	t.Helper()
	topo := queryTopology(t)
	h := newHeld(topo, 0, 1)
	return h, newHandler(cluster{h, topo})
}

func TestHandlerGet(t *testing.T) {
	h, handler := alone(t)
	for i, key := range []string{"plain", "a/b", "a//b", "a:b", "..", ".", "", "ü 日本", "50%", "a?b&c=d", "a+b"} {
		h.put(t, greeters.Name, key, fmt.Sprintf(`{"count":%d}`, i))
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
			if want := fmt.Sprint(h.partition([]byte(key))); r.Header.Get("Tidemark-Partition") != want {
				t.Errorf("%s: partition %s, want %s", path, r.Header.Get("Tidemark-Partition"), want)
			}
		}
	}
	h.put(t, numerals.Name, "7", "seven")
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
		{"/v1/tables/greeters/nobody", codeNoSuchKey, 404},
		{"/v1/tables/strangers/nobody", codeNoSuchTable, 404},
		{"/v1/tables/strangers", codeNoSuchTable, 404},
		{"/v1/tables/numerals/seven", codeBadRequest, 400},
		{"/v1/tables/numerals?prefix=seven", codeBadRequest, 400},
		{"/v1/tables/greeters?limit=0", codeBadRequest, 400},
		{"/v1/tables/greeters?limit=10001", codeBadRequest, 400},
		{"/v1/tables/greeters?limt=5", codeBadRequest, 400},
		{"/v1/tables/greeters?local=perhaps", codeBadRequest, 400},
		{"/v2", codeNoSuchPage, 404},
	} {
		r := serve(handler, c.path)
		p := refusal(t, r)
		if r.StatusCode != c.status || p.Code != c.code || p.Message == "" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d %+v, want %d %s", c.path, r.StatusCode, p, c.status, c.code)
		}
		if c.code == codeNoSuchTable && len(p.Tables) != 2 {
			t.Errorf("%s: names %v, want both tables", c.path, p.Tables)
		}
	}
	for _, path := range []string{"/", "/v1/tables/greeters/k", "/readyz"} {
		w := httptest.NewRecorder()
		post := httptest.NewRequest(http.MethodPost, path, nil)
		post.Host = "localhost"
		handler.ServeHTTP(w, post)
		if p := refusal(t, w.Result()); w.Code != 405 || p.Code != codeMethod || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: got %d %+v", path, w.Code, p)
		}
	}
}

func TestHandlerElsewhere(t *testing.T) {
	topo, first, second := pair(t)
	handler := newHandler(cluster{first, topo})
	key := "k0"
	for i := range 8 {
		if k := fmt.Sprintf("k%d", i); first.partition([]byte(k)) == 1 {
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
		if p := refusal(t, r); r.StatusCode != 421 || p.Code != codeElsewhere || p.Owner != first.owner[1] || r.Header.Get("Tidemark-Owner") != p.Owner {
			t.Errorf("asked on: got %d %+v", r.StatusCode, p)
		}
	}
	second.restoring = 5
	if r := serve(handler, path); r.StatusCode != 503 || refusal(t, r).Code != codeRestoring {
		t.Errorf("the owner restores: got %d", r.StatusCode)
	}
	first.owner[1] = "localhost:1"
	if r := serve(handler, path); r.StatusCode != 421 {
		t.Errorf("the owner is out of reach: got %d", r.StatusCode)
	}
	if r := serve(handler, "/v1/tables/greeters"); r.StatusCode != 421 {
		t.Errorf("rows, with an owner out of reach: got %d", r.StatusCode)
	}
	_, third, _ := pair(t) // it has partition 0 only
	wrong := httptest.NewServer(newHandler(cluster{third, topo}))
	defer wrong.Close()
	first.owner[1] = strings.TrimPrefix(wrong.URL, "http://")
	for _, asked := range []string{path, "/v1/tables/greeters"} {
		if r := serve(handler, asked); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
			t.Errorf("%s, while a partition moves: got %d %s", asked, r.StatusCode, text(t, r))
		}
	}
	first.owner[1] = nobody // while it is handed over
	if r := serve(handler, "/v1/tables/greeters"); r.StatusCode != 503 || refusal(t, r).Code != codeRestoring {
		t.Errorf("rows, while a partition is handed over: got %d", r.StatusCode)
	}
	first.owner[1] = "" // its owner advertises nothing
	if r := serve(handler, "/v1/tables/greeters"); r.StatusCode != 421 || !strings.Contains(refusal(t, r).Message, "is Advertise set") {
		t.Errorf("rows of an instance that advertises nothing: got %d", r.StatusCode)
	}
}

func TestHandlerRestoring(t *testing.T) {
	h, handler := alone(t)
	h.state, h.restoring = Restoring, 7
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
	h.state = Failed
	if r := serve(handler, "/livez"); r.StatusCode != 503 {
		t.Errorf("/livez of a failed instance: %d", r.StatusCode)
	}
}

func TestHandlerScan(t *testing.T) {
	topo, first, _ := pair(t)
	handler := newHandler(cluster{first, topo})
	keys := func(query string) (found []string, next string) {
		t.Helper()
		r := serve(handler, "/v1/tables/greeters"+query)
		body := text(t, r)
		if r.StatusCode != 200 {
			t.Fatalf("%s: %d %s", query, r.StatusCode, body)
		}
		for line := range strings.Lines(body) {
			var row textRow
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
	h.put(t, greeters.Name, "k0", `{"count":0}`)
	h.next[greeters.Name] = make(chan topology.Raw)
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
	want(`{"key":"k0","value":{"count":0},"partition":` + fmt.Sprint(h.partition([]byte("k0"))) + `,"offset":0}`)
	h.next[greeters.Name] <- topology.Raw{Key: []byte("k0"), Position: topology.Position{Partition: 1, Offset: 5}}
	want(`{"key":"k0","deleted":true,"partition":1,"offset":5}`)
	close(h.next[greeters.Name]) // the processor stops
	if lines.Scan() {
		t.Errorf("got %q behind the end", lines.Text())
	}
}

// A watch of an empty table says that it has begun.
func TestHandlerWatchEmpty(t *testing.T) {
	h, handler := alone(t)
	h.next[greeters.Name] = make(chan topology.Raw)
	server := httptest.NewServer(handler)
	defer server.Close()
	defer close(h.next[greeters.Name])
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

func TestMetricsSayWhyRecordsAreDropped(t *testing.T) {
	var text strings.Builder
	writeMetrics(&text, Status{Counts: Counts{Dropped: 6, DroppedNoKey: 1, DroppedNoValue: 2, DroppedLate: 3}}.metrics())
	for _, want := range []string{`{reason="no_key"} 1`, `{reason="no_value"} 2`, `{reason="late"} 3`} {
		if !strings.Contains(text.String(), "tidemark_dropped_total"+want+"\n") {
			t.Errorf("no %s in %s", want, &text)
		}
	}
}
