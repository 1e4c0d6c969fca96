// Package web is the HTTP API, the page, the metrics, and the client of that API that peers and the command line use.
package web

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-dev/tidemark/internal/waiting"
)

type handler struct {
	cluster Cluster
	mux     http.ServeMux
	hosts   []string // names beside localhost under which it is asked
	slow    time.Duration
}

// slowest is how long a client may take nothing of an answer that waits for it.
const slowest = time.Minute

// NewHandler returns what serves a cluster's rows, and how its instance is, to requests
// for localhost, any address, or one of some names.
func NewHandler(c Cluster, hosts ...string) http.Handler { return newHandler(c, hosts) }

func newHandler(c Cluster, hosts []string) *handler {
	h := &handler{cluster: c, hosts: hosts, slow: slowest}
	h.mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", pagePolicy)
		_, _ = w.Write(page)
	})
	h.mux.HandleFunc("/v1/tables", h.tables)
	h.mux.HandleFunc("/v1/status", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, h.cluster.Here.Status())
	})
	h.mux.HandleFunc("/v1/topology", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, h.cluster.Topology.String())
	})
	h.mux.HandleFunc("/livez", h.live)
	h.mux.HandleFunc("/readyz", h.ready)
	h.mux.HandleFunc("/metrics", h.metrics)
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, Problem{Code: CodeNoSuchPage, Message: fmt.Sprintf("there is no %s: see /", r.URL.Path)})
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
		writeProblem(w, Problem{Code: CodeForeignHost, Message: fmt.Sprintf("%q is no name of this instance: if it is to be one, add it to its --hosts", r.Host)})
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeProblem(w, Problem{Code: CodeMethod, Message: r.Method + ": there is nothing but GET"})
		return
	}
	if r.ContentLength != 0 {
		writeProblem(w, Problem{Code: CodeBadRequest, Message: "the request has a body, for which there is no use"})
		return
	}
	// The mux would redirect the key "a//b" to "a/b", which is another key.
	if rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/v1/tables/"); ok && rest != "" {
		h.table(w, r, rest)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// known reports whether a request's Host is one of this instance. Anybody can point
// a name at any address, so only our own names are accepted; addresses are safe.
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

// live answers 503 if only a new start of the process can help.
func (h *handler) live(w http.ResponseWriter, _ *http.Request) {
	s := h.cluster.Here.Health()
	if s.Ended {
		writeProblem(w, notReady(s))
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"state": s.State})
}

// ready answers 503 unless every partition of the instance is up to date.
func (h *handler) ready(w http.ResponseWriter, _ *http.Request) {
	s := h.cluster.Here.Health()
	if !s.Ready {
		writeProblem(w, notReady(s))
		return
	}
	writeJSON(w, http.StatusOK, struct {
		State   string         `json:"state"`
		Waiting []waiting.Wait `json:"waiting,omitempty"`
	}{s.State, s.Waiting})
}
