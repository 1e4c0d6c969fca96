package web

import (
	"net/http"
	"time"
)

// A timedWriter gives a client some time for each part of an answer, not for the
// whole answer. A client that stops reading ends the answer and frees what it holds. A server's own WriteTimeout holds for answers that fit its buffer.
type timedWriter struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	written  int
	set      time.Time // when the deadline was set; zero: it was not
}

// buffered is how much net/http keeps until the handler returns.
const buffered = 2048

func (t *timedWriter) Write(p []byte) (n int, err error) {
	const part = 64 << 10
	for {
		some := p[n:min(len(p), n+part)]
		if t.written += len(some); t.written > buffered {
			t.extend()
		}
		m, err := t.ResponseWriter.Write(some)
		if n += m; err != nil || n == len(p) {
			return n, err
		}
	}
}

// FlushError is what http.ResponseController flushes with.
func (t *timedWriter) FlushError() error {
	t.extend()
	return t.control.Flush()
}

// Unwrap is for http.ResponseController.
func (t *timedWriter) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (t *timedWriter) extend() {
	if now := time.Now(); now.Sub(t.set) > t.patience/10 {
		t.set = now
		_ = t.control.SetWriteDeadline(now.Add(t.patience)) // a recorder has none
	}
}

// end sends what is left, and leaves no deadline to the connection's next request.
func (t *timedWriter) end() {
	if !t.set.IsZero() {
		_ = t.FlushError()
		_ = t.control.SetWriteDeadline(time.Time{})
	}
}
