package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/internal/web"
	"github.com/tidemark-dev/tidemark/internal/web/webtest"
	"github.com/tidemark-dev/tidemark/topology"
)

// A heap of rows is an instance with many large rows, which it makes as they are
// asked for.
type heap struct {
	*webtest.Instance
	n, size int
	peak    func() // told before each row
	ended   chan struct{}
}

func (h heap) Rows(ctx context.Context, store string, from, to []byte) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		for i := range h.n {
			r, err := h.Topology.Parse(store, fmt.Sprint(i), nil)
			r.Partition = h.Partition(r.Key)
			if err == nil && (string(r.Key) < string(from) || to != nil && string(r.Key) >= string(to) || r.Partition != h.Own[0]) {
				continue
			}
			h.peak()
			r.Value = []byte(strings.Repeat("x", h.size))
			if ctx.Err() != nil || !yield(r, err) {
				return
			}
		}
	}
}

func (h heap) Changes(ctx context.Context, store string) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		defer close(h.ended)
		for r, err := range h.Rows(ctx, store, nil, nil) {
			if !yield(r, err) {
				return
			}
		}
		<-ctx.Done()
	}
}

// Rows of any size are told in answers of some megabytes, by key, each once, from
// whichever instance they are; no instance gathers more than an answer.
func TestHandlerLargeRows(t *testing.T) {
	topo := webtest.Topology(t)
	const n, size = 200, 1 << 20
	var most uint64
	peak := func() { // of one goroutine at a time: the parts take turns
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
	}
	first, second := webtest.New(topo, 0), webtest.New(topo, 1)
	server := httptest.NewServer(web.NewHandler(web.Cluster{Here: heap{second, n, size, func() {}, nil}, Topology: topo}))
	defer server.Close()
	first.Owner[1] = strings.TrimPrefix(server.URL, "http://")
	handler := httptest.NewServer(web.NewHandler(web.Cluster{Here: heap{first, n, size, peak, nil}, Topology: topo}))
	defer handler.Close()

	from, answers := "", 0
	for i := 0; i < n; answers++ {
		r, err := http.Get(handler.URL + "/v1/tables/numerals?limit=10000&from=" + url.QueryEscape(from))
		if err != nil {
			t.Fatal(err)
		}
		rows := json.NewDecoder(r.Body)
		before := i
		for ; ; i++ {
			var row web.Row
			if err := rows.Decode(&row); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if string(row.Key) != fmt.Sprint(i) || len(row.Value) != size+2 {
				t.Fatalf("row %d: got %q, %d bytes", i, row.Key, len(row.Value))
			}
		}
		r.Body.Close()
		if i == before || i-before > web.AnswerSize/size+1 {
			t.Fatalf("an answer of %d rows", i-before)
		}
		if from = r.Header.Get("Tidemark-Next"); (from == "") != (i == n) {
			t.Fatalf("behind %d rows: next %q", i, from)
		}
	}
	if t.Logf("%d answers, at most %d MiB", answers, most>>20); most > 64<<20 {
		t.Errorf("%d MiB are held for answers of %d MiB", most>>20, web.AnswerSize>>20)
	}
}

// A client that does not read its answer holds a watch for some time only.
func TestHandlerSlowReader(t *testing.T) {
	topo := webtest.Topology(t)
	h := heap{webtest.New(topo, 0), 1000, 1 << 20, func() {}, make(chan struct{})}
	handler := web.NewHandler(web.Cluster{Here: h, Topology: topo})
	web.SetSlow(handler, 300*time.Millisecond)
	server := httptest.NewServer(handler)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /v1/tables/numerals?watch=1&local=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	select {
	case <-h.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the watch goes on, though nobody reads")
	}
}

// A client that reads slowly, but reads, gets everything; so does the next request of
// its connection, after its predecessor's deadline.
func TestHandlerPatientReader(t *testing.T) {
	topo := webtest.Topology(t)
	h := heap{webtest.New(topo, 0, 1), 6, 6 << 20, func() {}, nil}
	handler := web.NewHandler(web.Cluster{Here: h, Topology: topo})
	const slow = 500 * time.Millisecond
	web.SetSlow(handler, slow)
	server := httptest.NewServer(handler)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	ask := func(path string, pause time.Duration) int {
		t.Helper()
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for part := make([]byte, 2<<20); ; {
			n, err := io.ReadFull(r.Body, part)
			if total += n; err == io.EOF || err == io.ErrUnexpectedEOF && r.Body.Close() == nil {
				return total
			} else if err != nil {
				t.Fatal(err)
			}
			<-time.After(pause) // the client's own slowness
		}
	}
	if got := ask("/v1/tables/numerals?local=1", 150*time.Millisecond); got < web.AnswerSize {
		t.Errorf("got %d bytes", got)
	}
	<-time.After(2 * slow) // idle beyond the deadline
	if got := ask("/livez", 0); got == 0 {
		t.Error("no second answer")
	}
}

// A request whose body does not come is answered, and not waited for.
func TestHandlerRefusesBodies(t *testing.T) {
	_, handler := alone(t)
	server := httptest.NewServer(handler)
	defer server.Close()
	for head, want := range map[string]int{
		"GET /v1/tables/greeters?watch=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nsome": 400,
		"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nso":        400,
		"POST /readyz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nslow":                 405,
		"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nslo":               405,
		"GET / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 100\r\n\r\n":                            403,
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprint(conn, head)
		in := bufio.NewReader(conn)
		r, err := http.ReadResponse(in, nil)
		if err != nil || r.StatusCode != want {
			t.Fatalf("%q: %v, %v", head, r, err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("%q: the connection stays: %v", head, err)
		}
	}
}

// A watch in which nothing happens outlives its server's WriteTimeout.
func TestHandlerIdleWatch(t *testing.T) {
	h, handler := alone(t)
	h.Next[webtest.Greeters.Name] = make(chan topology.Raw)
	server := httptest.NewUnstartedServer(handler)
	server.Config.WriteTimeout, server.Config.ReadTimeout = 300*time.Millisecond, 300*time.Millisecond
	server.Start()
	defer server.Close()
	r, err := http.Get(server.URL + "/v1/tables/greeters?watch=1")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	<-time.After(3 * server.Config.WriteTimeout) // nothing happens
	h.Next[webtest.Greeters.Name] <- topology.Raw{Key: []byte("k0"), Position: topology.Position{Partition: 1, Offset: 5}}
	if line, err := bufio.NewReader(r.Body).ReadString('\n'); err != nil || !strings.Contains(line, `"deleted":true`) {
		t.Errorf("got %q, %v", line, err)
	}
	close(h.Next[webtest.Greeters.Name])
}
