package web

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// patience is how long an answer's status waits for its first line.
const patience = 200 * time.Millisecond

// ndjson is an answer of one JSON object a line. An error before the first line
// is the answer's status; after patience, or after a line, it is the last line.
type ndjson struct {
	mu      sync.Mutex // the timer writes too
	w       http.ResponseWriter
	json    *json.Encoder
	started bool
	timer   *time.Timer
}

func newNDJSON(w http.ResponseWriter) *ndjson {
	l := &ndjson{w: w, json: json.NewEncoder(w)}
	l.json.SetEscapeHTML(false)
	l.timer = time.AfterFunc(patience, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.started {
			l.start()
			l.flush()
		}
	})
	return l
}

// write adds a line. It reports whether the client is still there.
func (l *ndjson) write(line any, flush bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start()
	if err := l.json.Encode(line); err != nil {
		return false
	}
	if flush {
		l.flush()
	}
	return true
}

// fail ends the answer with a problem; last is its line, if it is one.
func (l *ndjson) fail(p Problem, last any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.started {
		l.started = true
		writeProblem(l.w, p)
		return
	}
	_ = l.json.Encode(last) // else the client is gone
}

// end completes the answer, also one without a line.
func (l *ndjson) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer.Stop()
	l.start()
}

func (l *ndjson) start() {
	if l.started {
		return
	}
	l.started = true
	l.w.Header().Set("Content-Type", "application/x-ndjson")
	l.w.WriteHeader(http.StatusOK)
}

func (l *ndjson) flush() { _ = http.NewResponseController(l.w).Flush() }
