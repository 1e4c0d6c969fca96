package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/tidemark-dev/tidemark/internal/rows"
	"github.com/tidemark-dev/tidemark/internal/waiting"
)

// A Problem is an error as the answer's body.
type Problem struct {
	Message string         `json:"error"`
	Code    string         `json:"code"`
	State   string         `json:"state,omitempty"`
	Restore int64          `json:"restore,omitempty"` // changelog offsets still to read
	Owner   string         `json:"owner,omitempty"`   // address of the instance to ask
	Tables  []string       `json:"tables,omitempty"`
	Waiting []waiting.Wait `json:"waiting,omitempty"`
}

func (p *Problem) Error() string { return p.Message }

// Codes of problems.
const (
	CodeNoSuchPage  = "no_such_page"
	CodeNoSuchTable = "no_such_table"
	CodeNoSuchKey   = "no_such_key"
	CodeBadRequest  = "bad_request"
	CodeMethod      = "method_not_allowed"
	CodeForeignHost = "foreign_host"
	CodeElsewhere   = "elsewhere"
	CodeRestoring   = "restoring"
	CodeNotReady    = "not_ready"
	CodeInternal    = "internal"
)

var codeStatus = map[string]int{
	CodeNoSuchPage:  http.StatusNotFound,
	CodeNoSuchTable: http.StatusNotFound,
	CodeNoSuchKey:   http.StatusNotFound,
	CodeBadRequest:  http.StatusBadRequest,
	CodeMethod:      http.StatusMethodNotAllowed,
	CodeForeignHost: http.StatusForbidden,
	CodeElsewhere:   http.StatusMisdirectedRequest,
	CodeRestoring:   http.StatusServiceUnavailable,
	CodeNotReady:    http.StatusServiceUnavailable,
	CodeInternal:    http.StatusInternalServerError,
}

// problemOf is the problem that an error of reading rows stands for.
func (h *handler) problemOf(err error) Problem {
	if e, ok := errors.AsType[*rows.ElsewhereError](err); ok {
		p := Problem{Code: CodeElsewhere, Message: err.Error(), Owner: e.Owner}
		if errors.Is(err, errMoving) { // it passes
			p.Code = CodeRestoring
		}
		if e.Err == nil && e.Owner != "" { // it was not to be asked
			p.Message = "another instance has the key, at " + e.Owner
		}
		return p
	}
	s := h.cluster.Here.Health()
	p := notReady(s)
	p.Message = err.Error()
	switch {
	case errors.Is(err, rows.ErrRestoring):
		p.Code = CodeRestoring
	case s.Ready:
		return Problem{Code: CodeInternal, Message: err.Error()}
	}
	return p
}

// notReady says what an instance does instead of running.
func notReady(s Health) Problem {
	p := Problem{Code: CodeNotReady, Message: "the instance is " + s.State, State: s.State, Restore: s.Restore, Waiting: s.Waiting}
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

func writeProblem(w http.ResponseWriter, p Problem) {
	status := codeStatus[p.Code]
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	if p.Owner != "" {
		w.Header().Set(ownerHeader, p.Owner)
	}
	writeJSON(w, status, p)
}

// writeJSON writes a whole answer. Write errors are ignored: the client is gone.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	_ = lines.Encode(v)
}
