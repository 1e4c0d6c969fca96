package web

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	usualLimit   = 100
	highestLimit = 10_000 // and one more between instances, to know that there are more
)

// A request is what an HTTP request asks of a table.
type request struct {
	table    string
	hop      bool    // from another instance: in bytes, to be answered from here
	local    bool    // to be answered from here
	anywhere bool    // by another instance: in whichever partition the key is
	watch    bool    // what matches now, and then every change
	key      []byte  // nil: of a range
	windows  *string // the key whose windows the range is, if there is no row of key
	from, to []byte  // the range; a nil to has no end
	limit    int     // 0: without
}

// request reads the query of an HTTP request. Path is the key that stands in the path,
// nil if none does. What restricts a range restricts it further beside others;
// what can't go together is refused.
func (h *handler) request(table string, r *http.Request, path *string) (request, error) {
	q := request{table: table, hop: r.Header.Get(hopHeader) != "", limit: usualLimit}
	given, err := single(r.URL.RawQuery)
	if err != nil {
		return q, err
	}
	if path != nil {
		if given.has("key") {
			return q, errors.New("key: it stands in the path, too")
		}
		given["key"] = *path
	}
	if q.hop {
		return h.hopRequest(q, given)
	}
	if given.has("anywhere") {
		return q, errors.New("anywhere: it is for instances among themselves")
	}
	if q.local, err = given.truth("local"); err != nil {
		return q, err
	}
	if q.watch, err = given.truth("watch"); err != nil {
		return q, err
	}
	if q.limit, err = given.limit(usualLimit, highestLimit); err != nil {
		return q, err
	}
	if err := h.readKey(&q, given); err != nil {
		return q, err
	}
	switch one, others := given.first("key", "watch"), given.first("prefix", "from", "to", "limit"); {
	case given.has("key") && q.watch:
		return q, errors.New("watch: it follows a table, not a key")
	case q.windows != nil && given.has("prefix"):
		return q, errors.New("prefix: a key is given, too")
	case (q.key != nil && q.windows == nil || q.watch) && others != "":
		return q, fmt.Errorf("%s: it is for a range of rows, and does not go with %s", others, one)
	}
	return q, h.readRange(&q, given)
}

// hopRequest reads what another instance asks, whose keys are bytes.
func (h *handler) hopRequest(q request, given parameters) (request, error) {
	q.local, q.anywhere = true, given.has("anywhere")
	if name := given.first("prefix", "since", "until", "local"); name != "" {
		return q, fmt.Errorf("%s: it is not for instances", name)
	}
	var err error
	if q.watch, err = given.truth("watch"); err != nil {
		return q, err
	}
	if q.limit, err = given.limit(0, highestLimit+1); err != nil {
		return q, err
	}
	for name, to := range map[string]*[]byte{"key": &q.key, "from": &q.from, "to": &q.to} {
		if given.has(name) {
			*to = []byte(given[name])
		}
	}
	return q, nil
}

// readKey reads a key: of a row, or, in a windowed table, of all its windows. There
// "customer:1" may be either: it is a row's if there is such a row. What restricts
// windows makes it that of windows.
func (h *handler) readKey(q *request, given parameters) error {
	since, until, err := given.times()
	if err != nil {
		return err
	}
	bounded := given.first("since", "until")
	windowed := h.cluster.Topology.Windowed(q.table)
	switch {
	case bounded != "" && !windowed:
		return fmt.Errorf("%s: table %q has no windows", bounded, q.table)
	case bounded != "" && !given.has("key"):
		return fmt.Errorf("%s: it is for the windows of a key", bounded)
	case !given.has("key"):
		return nil
	}
	text := given["key"]
	if !windowed {
		q.key, err = h.key(q.table, text)
		return err
	}
	if given.first("since", "until", "from", "to") == "" {
		if q.key, err = h.key(q.table, text); err != nil {
			q.key = nil
		}
	}
	q.from, q.to, err = h.cluster.Topology.Windows(q.table, text, since, until)
	switch {
	case err == nil:
		q.windows = &text
	case q.key != nil: // of a key that is no text, as 7:2026-11-25T08:00:00Z
		q.from, q.to = nil, nil
		return nil
	}
	return err
}

// readRange reads what restricts a range; an empty text is no restriction.
func (h *handler) readRange(q *request, given parameters) error {
	if text := given["prefix"]; text != "" {
		from, to, err := h.cluster.Topology.Prefix(q.table, text)
		if err != nil {
			return err
		}
		q.restrict(from, to)
	}
	if text := given["from"]; text != "" {
		from, err := h.rangeKey(q.table, text)
		if err != nil {
			return fmt.Errorf("from: %w", err)
		}
		q.restrict(from, nil)
	}
	if text := given["to"]; text != "" {
		to, err := h.rangeKey(q.table, text)
		if err != nil {
			return fmt.Errorf("to: %w", err)
		}
		q.restrict(nil, to)
	}
	return nil
}

// restrict leaves what is in both ranges.
func (q *request) restrict(from, to []byte) {
	if bytes.Compare(from, q.from) > 0 {
		q.from = from
	}
	if to != nil && (q.to == nil || bytes.Compare(to, q.to) < 0) {
		q.to = to
	}
}

// rangeKey returns where a key's rows begin: in a windowed table also that of a
// key without its window.
func (h *handler) rangeKey(table, text string) ([]byte, error) {
	key, err := h.key(table, text)
	if err != nil && h.cluster.Topology.Windowed(table) {
		key, _, err = h.cluster.Topology.Windows(table, text, time.Time{}, time.Time{})
	}
	return key, err
}

// key returns the bytes of a key's text.
func (h *handler) key(table, text string) ([]byte, error) {
	raw, err := h.cluster.Topology.Parse(table, text, nil)
	if err != nil {
		return nil, err
	}
	if raw.Key == nil {
		return []byte{}, nil
	}
	return raw.Key, nil
}

// parameters are those of a query, each given once.
type parameters map[string]string

var known = []string{"key", "prefix", "from", "to", "since", "until", "limit", "local", "watch", "anywhere"}

// single reads a query.
func single(raw string) (parameters, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, err
	}
	given := parameters{}
	for _, name := range known {
		switch v := values[name]; {
		case len(v) > 1:
			return nil, fmt.Errorf("%s: it is given %d times", name, len(v))
		case len(v) == 1:
			given[name] = v[0]
		}
		delete(values, name)
	}
	if unknown := slices.Sorted(maps.Keys(values)); len(unknown) > 0 {
		return nil, fmt.Errorf("%q: there is no such parameter, but %s", unknown[0], strings.Join(known[:len(known)-1], ", "))
	}
	return given, nil
}

func (p parameters) has(name string) bool {
	_, ok := p[name]
	return ok
}

// first returns the first of some names that is given, or "".
func (p parameters) first(names ...string) string {
	for _, name := range names {
		if p.has(name) {
			return name
		}
	}
	return ""
}

// truth reads a switch, which may be set without a value.
func (p parameters) truth(name string) (bool, error) {
	value, ok := p[name]
	if !ok || value == "" {
		return ok, nil
	}
	on, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("%s: %q is neither 1 nor 0", name, value)
	}
	if !on {
		delete(p, name)
	}
	return on, nil
}

func (p parameters) limit(usual, highest int) (int, error) {
	if !p.has("limit") {
		return usual, nil
	}
	n, err := strconv.Atoi(p["limit"])
	if err != nil || n < 1 || n > highest {
		return 0, fmt.Errorf("limit: %q is not a number from 1 to %d", p["limit"], highestLimit)
	}
	return n, nil
}

// times reads the bounds of windows, zero where none is given.
func (p parameters) times() (since, until time.Time, err error) {
	if since, err = p.time("since"); err == nil {
		until, err = p.time("until")
	}
	return since, until, err
}

// time reads a time in RFC 3339, or in milliseconds since 1970. An empty text is
// none.
func (p parameters) time(name string) (time.Time, error) {
	text := p[name]
	if text == "" {
		delete(p, name)
		return time.Time{}, nil
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.UnixMilli(ms).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, fmt.Errorf("%s: %q is not a time such as 2026-11-25T08:00:00Z, nor milliseconds since 1970", name, text)
	}
	return at, nil
}
