package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tidemark-dev/tidemark/internal/web"
	"github.com/tidemark-dev/tidemark/internal/web/webtest"
	"github.com/tidemark-dev/tidemark/topology"
)

// windowsTopology has a table of hourly windows.
func windowsTopology(t *testing.T) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder("app")
	topology.Count(topology.Window(topology.Consume(b, webtest.Greetings), topology.Tumbling{Size: time.Hour}),
		topology.Store[topology.Windowed[string], int64]{Name: "hourly"})
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// Every pair of parameters either restricts together or is refused, always alike.
func TestRequestPairs(t *testing.T) {
	h, handler := alone(t)
	for _, key := range []string{"a1", "a2", "b1", "b2", "c1"} {
		h.Put(t, webtest.Greeters.Name, key, `{"count":1}`)
	}
	for query, want := range map[string]string{
		"prefix=b&from=a":             "b1 b2",
		"prefix=b&from=b2":            "b2",
		"prefix=b&from=c":             "",
		"prefix=b&to=a":               "",
		"prefix=b&to=b2":              "b1",
		"prefix=b&to=z":               "b1 b2",
		"from=a2&to=c":                "a2 b1 b2",
		"from=c&to=a":                 "",
		"prefix=b&from=a&to=c":        "b1 b2",
		"prefix=&from=&to=":           "a1 a2 b1 b2 c1",
		"prefix=a&limit=1":            "a1",
		"local=1&prefix=b":            "b1 b2",
		"watch=0&from=c":              "c1",
		"key=a1&from=a":               "refused",
		"key=a1&to=a":                 "refused",
		"key=a1&prefix=a":             "refused",
		"key=a1&limit=1":              "refused",
		"key=a1&watch=1":              "refused",
		"key=a1&since=0":              "refused",
		"watch=1&prefix=a":            "refused",
		"watch=1&from=a":              "refused",
		"watch=1&to=a":                "refused",
		"watch=1&limit=1":             "refused",
		"since=2026-11-25T08:00:00Z":  "refused",
		"prefix=a&prefix=b":           "refused",
		"limit=1&limit=1":             "refused",
		"limit=1&nonsense=1&another=": "refused",
	} {
		for range 20 {
			r := serve(handler, "/v1/tables/greeters?"+query)
			body := text(t, r)
			var keys []string
			for line := range strings.Lines(body) {
				var row web.Row
				if err := json.Unmarshal([]byte(line), &row); err != nil {
					t.Fatal(err)
				}
				keys = append(keys, string(row.Key))
			}
			got := strings.Join(keys, " ")
			if r.StatusCode == http.StatusBadRequest {
				got = "refused"
			}
			if got != want {
				t.Fatalf("%s: got %d %s, want %q", query, r.StatusCode, body, want)
			}
		}
	}
	if r := serve(handler, "/v1/tables/greeters/a1?key=a1"); r.StatusCode != http.StatusBadRequest {
		t.Errorf("a key in the path and in the query: got %d", r.StatusCode)
	}
}

func TestRequestWindows(t *testing.T) {
	topo := windowsTopology(t)
	h := webtest.New(topo, 0, 1)
	handler := web.NewHandler(web.Cluster{Here: h, Topology: topo})
	at := func(hour int) time.Time { return time.Date(2026, 11, 25, hour, 0, 0, 0, time.UTC) }
	for _, key := range []string{"a", "ab", "b"} {
		for hour := 8; hour < 11; hour++ {
			w, err := json.Marshal(topology.Windowed[string]{Key: key, Start: at(hour), End: at(hour + 1)})
			if err != nil {
				t.Fatal(err)
			}
			h.Put(t, "hourly", string(w), fmt.Sprint(hour))
		}
	}
	// Keys that read as a key and its window: "a" at 7 ms, and "a" at 8 o'clock.
	putWindow := func(key string, hour int, value string) {
		t.Helper()
		w, err := json.Marshal(topology.Windowed[string]{Key: key, Start: at(hour), End: at(hour + 1)})
		if err != nil {
			t.Fatal(err)
		}
		h.Put(t, "hourly", string(w), value)
	}
	putWindow("a:7", 8, "78")
	putWindow("a:7", 9, "79")
	putWindow("a:2026-11-25T08:00:00Z", 9, "89")
	putWindow("c:2026-11-25T08:00:00Z", 9, "99")
	for query, want := range map[string]string{
		"/a:7":                            "78 79",
		"/a:7?limit=1":                    "78",
		"/a:7?from=a:7":                   "78 79",
		"/a:8":                            "404",
		"/a:2026-11-25T08:00:00Z":         "8", // a row's own key comes first
		"/a:2026-11-25T08:00:00Z?since=0": "89",
		"/a:2026-11-25T08:00:00Z:2026-11-25T09:00:00Z": "89",
		"/c:2026-11-25T08:00:00Z":                      "99",
		"/d:2026-11-25T08:00:00Z":                      "404",
		"/a:2026-11-25T08:00:00Z?limit=5":              "8",
		"/a:2026-11-25T08:00:00Z?prefix=a":             "400",
		"?from=a:7&to=ab":                              "78 79",
		"?from=a&to=a:7":                               "8 9 10 89",
		"?from=a:2026-11-25T09:00:00Z&to=a:7":          "9 10 89", // a bound that is a whole key is that
		"/a":                                           "8 9 10",
		"?key=a":                                       "8 9 10",
		"/a?since=2026-11-25T09:00:00Z":                "9 10",
		"/a?until=2026-11-25T09:00:00Z":                "8",
		"/a?since=1764061200000&until=":                "9 10",
		"/a?limit=2":                                   "8 9",
		"/none":                                        "404",
		"/a?since=2027-01-01T00:00:00Z":                "404",
		"/a?since=yesterday":                           "400",
		"/a?prefix=a":                                  "400",
		"/a?watch=1":                                   "400",
		"?since=2026-11-25T09:00:00Z":                  "400",
		"?prefix=ab":                                   "8 9 10",
		"?prefix=a:":                                   "89 78 79",
		"?from=ab&to=b":                                "8 9 10",
		"/a?since=2026-11-25T09:00:00Z&until=2026-11-25T08:00:00Z": "400",
	} {
		query = strings.Replace(query, "1764061200000", fmt.Sprint(at(9).UnixMilli()), 1)
		r := serve(handler, "/v1/tables/hourly"+query)
		body := text(t, r)
		var values []string
		for line := range strings.Lines(body) {
			row := web.Row{Value: json.RawMessage(strings.TrimSpace(line))} // one row's value
			if r.Header.Get("Content-Type") == "application/x-ndjson" {
				if err := json.Unmarshal([]byte(line), &row); err != nil {
					t.Fatal(err)
				}
			}
			values = append(values, string(row.Value))
		}
		got := strings.Join(values, " ")
		if r.StatusCode != http.StatusOK {
			got = fmt.Sprint(r.StatusCode)
		}
		if got != want {
			t.Errorf("%s: got %d %s, want %s", query, r.StatusCode, body, want)
		}
	}
	// The next key goes on, and one whole key is one row.
	r := serve(handler, "/v1/tables/hourly/a?limit=2")
	next, err := url.QueryUnescape(r.Header.Get("Tidemark-Next"))
	if err != nil || next == "" {
		t.Fatalf("next: %q, %v", next, err)
	}
	if got := text(t, serve(handler, "/v1/tables/hourly/a?from="+url.QueryEscape(next))); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"value":10`) {
		t.Errorf("from the next on: %s", got)
	}
	if got := text(t, serve(handler, "/v1/tables/hourly/"+url.PathEscape(next))); got != "10\n" {
		t.Errorf("one window: %s", got)
	}
}

// A key of any bytes is told so that it can be asked for again.
func TestHandlerAnyBytes(t *testing.T) {
	h, handler := alone(t)
	keys := []string{"a\nb", "a\x00", "x\xfb", "\xff", "\uFFFD", "x\uFFFD1", "x😀", `\`}
	for _, key := range keys {
		h.Put(t, webtest.Greeters.Name, key, `{"count":1}`)
	}
	var got []string
	for line := range strings.Lines(text(t, serve(handler, "/v1/tables/greeters"))) {
		var row web.Row
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		got = append(got, string(row.Key))
		if r := serve(handler, "/v1/tables/greeters?key="+url.QueryEscape(string(row.Key))); r.StatusCode != 200 {
			t.Errorf("%q: %d", row.Key, r.StatusCode)
		}
	}
	slices.Sort(keys)
	if diff := gocmp.Diff(keys, got); diff != "" {
		t.Error(diff)
	}
	if got := text(t, serve(handler, "/v1/tables/greeters?prefix="+url.QueryEscape("x\uFFFD"))); strings.Count(got, "\n") != 1 {
		t.Errorf("prefix x\\uFFFD: %s", got)
	}
}

func TestHandlerHosts(t *testing.T) {
	topo := webtest.Topology(t)
	h := web.NewHandler(web.Cluster{Here: webtest.New(topo, 0, 1), Topology: topo}, "instance-1.example", "proxy.example")
	for host, want := range map[string]int{
		"": 200, "localhost": 200, "LOCALHOST:1": 200, "localhost.:1": 200, "127.0.0.1:9610": 200, "[::1]:9610": 200, "[fe80::1%eth0]:1": 200,
		"192.168.1.5:80": 200, "instance-1.example:9610": 200, "Proxy.example": 200,
		"evil.example": 403, "evil.example:9610": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403, "x": 403,
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/status", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%q: got %d %s", host, w.Code, w.Header())
		}
	}
	if policy := serve(h, "/").Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") ||
		strings.Count(policy, "sha256-") != 2 {
		t.Errorf("the page's policy: %q", policy)
	}
}

func TestHandlerHead(t *testing.T) {
	_, handler := alone(t)
	server := httptest.NewServer(handler)
	defer server.Close()
	r, err := http.Head(server.URL + "/v1/tables/greeters?watch=1")
	if err != nil || r.StatusCode != 200 {
		t.Errorf("HEAD of a watch: %v, %v", r, err)
	}
}
