package processor

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-dev/tidemark/internal/waiting"
)

// page shows the instance to people.
//
//go:embed page.html
var page []byte

// Handler serves the tables and the health of the instance over HTTP, to read
// only:
//
//	/                           a page for people
//	/v1/tables                  the tables
//	/v1/tables/{table}/{key}    a row's value; also /v1/tables/{table}?key=
//	/v1/tables/{table}/{key}    of a windowed table, if no row has that key, window and
//	                            all: the windows of the key as rows: since, until (of
//	                            their starts), limit
//	/v1/tables/{table}          rows by key, one JSON object a line: prefix, from, to, limit
//	/v1/tables/{table}?watch=1  rows and then every change, as it is committed
//	/v1/status                  what the instance is doing
//	/v1/topology                the picture
//	/livez, /readyz, /metrics   for machines
//
// An answer of rows ends at its limit or after 8 MiB of them; the header
// Tidemark-Next is then the key, percent-encoded, from which to go on. A client that
// takes nothing for a minute gets no more.
//
// Rows of other instances are asked for at the addresses that they advertise;
// with local=1 they are not. An error is JSON too, with a code beside its text.
// A byte of a key or value that is not UTF-8 is a lone surrogate in JSON, as
// codec.Quote writes it.
//
// A request whose Host is a name that is not localhost, Config.Advertise or one
// of Config.Hosts is refused: a page elsewhere could have given that name to this
// address, to read the tables in somebody's browser.
func (p *Processor) Handler() http.Handler {
	h := newHandler(cluster{served{p}, p.topology})
	h.hosts = append(h.hosts, p.config.Hosts...)
	if host, _, err := net.SplitHostPort(p.config.Advertise); err == nil {
		h.hosts = append(h.hosts, host)
	}
	return h
}

type handler struct {
	cluster cluster
	mux     http.ServeMux
	hosts   []string // names beside localhost under which it is asked
	slow    time.Duration
}

// slowest is how long a client may take nothing of an answer that waits for it.
const slowest = time.Minute

func newHandler(c cluster) *handler {
	h := &handler{cluster: c, slow: slowest}
	h.mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", pagePolicy)
		_, _ = w.Write(page)
	})
	h.mux.HandleFunc("/v1/tables", h.tables)
	h.mux.HandleFunc("/v1/status", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, h.cluster.here.Status())
	})
	h.mux.HandleFunc("/v1/topology", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, h.cluster.topology.String())
	})
	h.mux.HandleFunc("/livez", h.live)
	h.mux.HandleFunc("/readyz", h.ready)
	h.mux.HandleFunc("/metrics", h.metrics)
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem{Code: codeNoSuchPage, Message: fmt.Sprintf("there is no %s: see /", r.URL.Path)})
	})
	return h
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	timed := &timedWriter{ResponseWriter: w, control: http.NewResponseController(w), patience: h.slow}
	defer timed.end()
	w = timed
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.ContentLength != 0 { // nobody reads it, and net/http would wait for it
		w.Header().Set("Connection", "close")
		_ = timed.control.SetReadDeadline(time.Now().Add(time.Second))
	}
	if !h.known(r.Host) {
		writeProblem(w, problem{Code: codeForeignHost, Message: fmt.Sprintf("%q is no name of this instance: if it is to be one, add it to its --hosts", r.Host)})
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeProblem(w, problem{Code: codeMethod, Message: r.Method + ": there is nothing but GET"})
		return
	}
	if r.ContentLength != 0 {
		writeProblem(w, problem{Code: codeBadRequest, Message: "the request has a body, for which there is no use"})
		return
	}
	// The mux would redirect the key "a//b" to "a/b", which is another key.
	if rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/v1/tables/"); ok && rest != "" {
		h.table(w, r, rest)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// known reports whether a request's Host is one of this instance. Names can be
// given to any address by anybody, so only ours will do; addresses cannot.
func (h *handler) known(host string) bool {
	name := host
	if n, _, err := net.SplitHostPort(host); err == nil {
		name = n
	}
	name = strings.TrimSuffix(strings.Trim(name, "[]"), ".")
	address, _, _ := strings.Cut(name, "%") // without an IPv6 zone
	return host == "" ||                    // HTTP/1.0, which no browser speaks
		net.ParseIP(address) != nil ||
		strings.EqualFold(name, "localhost") ||
		slices.ContainsFunc(h.hosts, func(own string) bool { return own == "*" || strings.EqualFold(own, name) })
}

// pagePolicy lets the page run its own script and style, and ask its own instance.
var pagePolicy = "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" +
	"; script-src " + hashOf("script") + "; style-src " + hashOf("style")

// hashOf returns the hash of what an element of the page holds, as a policy names it.
func hashOf(element string) string {
	_, rest, _ := bytes.Cut(page, []byte("<"+element+">"))
	content, _, _ := bytes.Cut(rest, []byte("</"+element+">"))
	sum := sha256.Sum256(content)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// live tells whether starting the process again would help.
func (h *handler) live(w http.ResponseWriter, _ *http.Request) {
	s := h.cluster.here.Health()
	if s.Ended {
		writeProblem(w, notReady(s))
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"state": s.State})
}

// ready tells whether every partition of the instance is up to date.
func (h *handler) ready(w http.ResponseWriter, _ *http.Request) {
	s := h.cluster.here.Health()
	if !s.Ready {
		writeProblem(w, notReady(s))
		return
	}
	writeJSON(w, http.StatusOK, struct {
		State   string         `json:"state"`
		Waiting []waiting.Wait `json:"waiting,omitempty"`
	}{s.State, s.Waiting})
}

// A problem is an error as the answer's body.
type problem struct {
	Message string         `json:"error"`
	Code    string         `json:"code"`
	State   string         `json:"state,omitempty"`
	Restore int64          `json:"restore,omitempty"` // changelog offsets still to read
	Owner   string         `json:"owner,omitempty"`   // address of the instance to ask
	Tables  []string       `json:"tables,omitempty"`
	Waiting []waiting.Wait `json:"waiting,omitempty"`
}

// Codes of problems.
const (
	codeNoSuchPage  = "no_such_page"
	codeNoSuchTable = "no_such_table"
	codeNoSuchKey   = "no_such_key"
	codeBadRequest  = "bad_request"
	codeMethod      = "method_not_allowed"
	codeForeignHost = "foreign_host"
	codeElsewhere   = "elsewhere"
	codeRestoring   = "restoring"
	codeNotReady    = "not_ready"
	codeInternal    = "internal"
)

var codeStatus = map[string]int{
	codeNoSuchPage:  http.StatusNotFound,
	codeNoSuchTable: http.StatusNotFound,
	codeNoSuchKey:   http.StatusNotFound,
	codeBadRequest:  http.StatusBadRequest,
	codeMethod:      http.StatusMethodNotAllowed,
	codeForeignHost: http.StatusForbidden,
	codeElsewhere:   http.StatusMisdirectedRequest,
	codeRestoring:   http.StatusServiceUnavailable,
	codeNotReady:    http.StatusServiceUnavailable,
	codeInternal:    http.StatusInternalServerError,
}

// problemOf says what kept rows from being read.
func (h *handler) problemOf(err error) problem {
	if e, ok := errors.AsType[*ElsewhereError](err); ok {
		p := problem{Code: codeElsewhere, Message: err.Error(), Owner: e.Owner}
		if errors.Is(err, errMoving) { // it passes
			p.Code = codeRestoring
		}
		if e.Err == nil && e.Owner != "" { // it was not to be asked
			p.Message = "another instance has the key, at " + e.Owner
		}
		return p
	}
	s := h.cluster.here.Health()
	p := notReady(s)
	p.Message = err.Error()
	switch {
	case errors.Is(err, ErrRestoring):
		p.Code = codeRestoring
	case s.Ready:
		return problem{Code: codeInternal, Message: err.Error()}
	}
	return p
}

// notReady says what an instance does instead of running.
func notReady(s health) problem {
	p := problem{Code: codeNotReady, Message: "the instance is " + s.State, State: s.State, Restore: s.Restore, Waiting: s.Waiting}
	if p.Restore > 0 {
		p.Message += fmt.Sprintf(", %d changelog records to go", p.Restore)
	}
	if s.Err != "" {
		p.Message += ": " + s.Err
	}
	for _, w := range s.Waiting {
		p.Message += "; " + w.String()
	}
	return p
}

func writeProblem(w http.ResponseWriter, p problem) {
	status := codeStatus[p.Code]
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	if p.Owner != "" {
		w.Header().Set(ownerHeader, p.Owner)
	}
	writeJSON(w, status, p)
}

// writeJSON writes a whole answer. That it does not arrive is the client's affair.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	_ = lines.Encode(v)
}
