package web

import (
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemark-dev/tidemark/codec"
	"github.com/tidemark-dev/tidemark/topology"
)

// tables lists the tables, with the partitions that are here.
func (h *handler) tables(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, h.cluster.Here.Tables())
}

// table answers for one table; rest is the escaped path behind /v1/tables/.
func (h *handler) table(w http.ResponseWriter, r *http.Request, rest string) {
	escapedTable, escapedKey, hasKey := strings.Cut(rest, "/")
	name, err := url.PathUnescape(escapedTable)
	if err != nil {
		writeProblem(w, Problem{Code: CodeBadRequest, Message: err.Error()})
		return
	}
	if stores := h.cluster.Topology.Stores(); !slices.Contains(stores, name) {
		writeProblem(w, Problem{
			Code: CodeNoSuchTable, Tables: stores,
			Message: fmt.Sprintf("there is no table %q, but %s", name, strings.Join(stores, ", ")),
		})
		return
	}
	var q request
	var path *string
	if hasKey {
		var text string
		text, err = url.PathUnescape(escapedKey)
		path = &text
	}
	if err == nil {
		q, err = h.request(name, r, path)
	}
	switch {
	case err != nil:
		writeProblem(w, Problem{Code: CodeBadRequest, Message: err.Error()})
	case q.key != nil && !h.answerRow(w, r, q):
		h.answerRows(w, r, q)
	case q.key != nil:
	case q.watch && r.Method == http.MethodHead: // it would never end
		h.cover(w, h.cluster.own(q.table))
	case q.watch:
		h.answerChanges(w, r, q)
	default:
		h.answerRows(w, r, q)
	}
}

// answerRow answers with a row's value. It answers nothing, and returns false, if there
// is no such row and the key can be that of windows.
func (h *handler) answerRow(w http.ResponseWriter, r *http.Request, q request) (answered bool) {
	var raw topology.Raw
	var err error
	switch {
	case q.anywhere:
		own := h.cluster.own(q.table)
		h.cover(w, own)
		raw, err = h.cluster.among(r.Context(), q.table, own, q.key)
	case q.hop:
		raw, err = h.cluster.Here.Row(r.Context(), q.table, q.key)
	case q.local:
		raw, err = h.cluster.getHere(r.Context(), q.table, q.key)
	default:
		raw, err = h.cluster.Get(r.Context(), q.table, q.key)
	}
	switch {
	case err != nil:
		writeProblem(w, h.problemOf(err))
		return true
	case raw.Value == nil && q.windows != nil:
		return false
	}
	raw.Key = q.key
	w.Header().Set(partitionHeader, strconv.Itoa(int(raw.Partition)))
	w.Header().Set(offsetHeader, strconv.FormatInt(raw.Offset, 10))
	if q.hop {
		writeJSON(w, http.StatusOK, wire(raw))
		return true
	}
	key, value, err := h.text(q.table, raw)
	switch {
	case err != nil:
		writeProblem(w, Problem{Code: CodeInternal, Message: err.Error()})
	case raw.Value == nil:
		writeProblem(w, Problem{Code: CodeNoSuchKey, Message: fmt.Sprintf("table %q has no key %q", q.table, key)})
	default:
		writeJSON(w, http.StatusOK, value)
	}
	return true
}

// answerSize is about how many bytes of rows an answer to people has at most, one
// row in any case.
const answerSize = 8 << 20

// answerRows answers with rows: to people the first ones by key, as many as the
// limit and answerSize allow, to another instance all of them, as they lie. What
// people get is gathered first, so that an error is the answer's status, and where
// to go on is its header; a peer only stops sending when it has sent enough.
func (h *handler) answerRows(w http.ResponseWriter, r *http.Request, q request) {
	own := h.cluster.own(q.table)
	h.cover(w, own)
	if q.hop {
		h.stream(w, r, q, firstOf(h.cluster.local(r.Context(), q.table, own, q.from, q.to), q.limit))
		return
	}
	rows := h.cluster.ordered(r.Context(), q.table, q.from, q.to, q.limit+1)
	if q.local {
		rows = h.cluster.local(r.Context(), q.table, own, q.from, q.to)
	}
	found, next, err := gathered(rows, q.limit)
	if err != nil {
		writeProblem(w, h.problemOf(err))
		return
	}
	if len(found) == 0 && q.windows != nil && r.URL.Query().Get("from") == "" {
		writeProblem(w, Problem{Code: CodeNoSuchKey, Message: fmt.Sprintf("table %q has no window of key %q there", q.table, *q.windows)})
		return
	}
	if next != nil {
		var key string
		if key, _, err = h.text(q.table, topology.Raw{Key: next.Key, Position: next.Position}); err == nil {
			w.Header().Set(nextHeader, url.QueryEscape(key))
		}
	}
	h.stream(w, r, q, func(yield func(topology.Raw, error) bool) {
		for _, row := range found {
			if !yield(row, nil) {
				return
			}
		}
		if err != nil {
			yield(topology.Raw{}, err)
		}
	})
}

// gathered returns the first rows, as many as limit and answerSize allow, and the
// one behind them, if there is one.
func gathered(rows iter.Seq2[topology.Raw, error], limit int) (found []topology.Raw, next *topology.Raw, err error) {
	size := 0
	for row, err := range rows {
		switch {
		case err != nil:
			return nil, nil, err
		case len(found) == limit || size >= answerSize:
			return found, &row, nil
		}
		found = append(found, row)
		size += len(row.Key) + len(row.Value)
	}
	return found, nil, nil
}

// firstOf yields the first of some rows, all with a limit of 0.
func firstOf(rows iter.Seq2[topology.Raw, error], limit int) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		n := 0
		for row, err := range rows {
			if n++; !yield(row, err) || err != nil || n == limit {
				return
			}
		}
	}
}

// answerChanges answers with rows and then changes, until the client goes or the
// instance stops.
func (h *handler) answerChanges(w http.ResponseWriter, r *http.Request, q request) {
	h.cover(w, h.cluster.own(q.table))
	if q.local {
		h.stream(w, r, q, h.cluster.Here.Changes(r.Context(), q.table))
		return
	}
	h.stream(w, r, q, h.cluster.Watch(r.Context(), q.table))
}

// cover says which partitions an answer to another instance is about.
func (h *handler) cover(w http.ResponseWriter, own []int32) {
	names := make([]string, len(own))
	for i, partition := range own {
		names[i] = strconv.Itoa(int(partition))
	}
	w.Header().Set(partitionsHeader, strings.Join(names, ","))
}

// stream answers with rows as they come.
func (h *handler) stream(w http.ResponseWriter, r *http.Request, q request, rows iter.Seq2[topology.Raw, error]) {
	answer := newNDJSON(w)
	defer answer.end()
	for raw, err := range rows {
		var line any = wire(raw)
		if err == nil && !q.hop {
			line, err = h.line(q.table, raw)
		}
		switch {
		case err == nil:
			if !answer.write(line, q.watch) {
				return
			}
		case r.Context().Err() != nil:
			return
		case q.hop:
			p := h.problemOf(err)
			answer.fail(p, wireRow{Error: &p})
			return
		default:
			p := h.problemOf(err)
			answer.fail(p, p)
			return
		}
	}
}

// A Row is a row for people and their programs.
type Row struct {
	Key       Text            `json:"key"`
	Value     json.RawMessage `json:"value,omitempty"`
	Deleted   bool            `json:"deleted,omitempty"`
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"`
}

// A Text is a key's text, which may hold any bytes.
type Text string

// MarshalJSON returns a string that codec.Unquote reads back, byte for byte.
func (k Text) MarshalJSON() ([]byte, error) { return codec.Quote(string(k)), nil }

// UnmarshalJSON reads what MarshalJSON has written.
func (k *Text) UnmarshalJSON(quoted []byte) error {
	text, err := codec.Unquote(quoted)
	*k = Text(text)
	return err
}

func (h *handler) line(table string, raw topology.Raw) (Row, error) {
	key, value, err := h.text(table, raw)
	return Row{Key: Text(key), Value: value, Deleted: raw.Value == nil, Partition: raw.Partition, Offset: raw.Offset}, err
}

// text returns a row's key and value as a person writes them.
func (h *handler) text(table string, raw topology.Raw) (key string, value json.RawMessage, err error) {
	raw.Topic = table
	key, value, err = h.cluster.Topology.Format(raw)
	if err != nil {
		return "", nil, fmt.Errorf("table %q: row %q of partition %d: %w", table, raw.Key, raw.Partition, err)
	}
	return key, value, nil
}

func wire(raw topology.Raw) wireRow {
	return wireRow{Key: raw.Key, Value: raw.Value, Time: raw.Time, Partition: raw.Partition, Offset: raw.Offset}
}
