package processor

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tidemark-dev/tidemark/codec"
)

const (
	usualLimit   = 100
	highestLimit = 10_000 // and one more between instances, to know that there are more
)

// A question is what a request asks of a table.
type question struct {
	table    string
	hop      bool // from another instance: in bytes, to be answered from here
	local    bool // to be answered from here
	anywhere bool // by another instance: in whichever partition the key is
	watch    bool
	key      []byte // nil: of a range
	from, to []byte
	limit    int // 0: without
}

// question reads the query of a request.
func (h *handler) question(table string, r *http.Request) (question, error) {
	q := question{table: table, hop: r.Header.Get(hopHeader) != "", limit: usualLimit}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, err
	}
	highest := highestLimit
	key := func(text string) ([]byte, error) { return h.key(table, text) }
	if q.hop {
		q.local, q.limit = true, 0
		highest++
		key = func(bytes string) ([]byte, error) { return []byte(bytes), nil }
	}
	for name, given := range values {
		value := given[0]
		switch name {
		case "key":
			q.key, err = key(value)
		case "from":
			if value != "" {
				q.from, err = key(value)
			}
		case "to":
			q.to, err = key(value)
		case "prefix":
			if value == "" {
				break
			}
			var prefix []byte
			if prefix, err = key(value); err == nil {
				q.from, q.to = later(q.from, prefix), codec.PrefixEnd(prefix)
			}
		case "limit":
			if q.limit, err = strconv.Atoi(value); err != nil || q.limit < 1 || q.limit > highest {
				err = fmt.Errorf("%q is not a number from 1 to %d", value, highestLimit)
			}
		case "local":
			q.local, err = truth(value, q.local)
		case "anywhere":
			if !q.hop {
				return q, fmt.Errorf("anywhere: it is for instances among themselves")
			}
			q.anywhere = true
		case "watch":
			q.watch, err = truth(value, false)
		default:
			err = fmt.Errorf("there is no such parameter, but key, prefix, from, to, limit, local and watch")
		}
		if err != nil {
			return q, fmt.Errorf("%s: %w", name, err)
		}
	}
	return q, nil
}

// truth reads a switch, which may be set without a value.
func truth(value string, already bool) (bool, error) {
	if value == "" {
		return true, nil
	}
	on, err := strconv.ParseBool(value)
	return on || already, err
}

// key returns the bytes of a key's text.
func (h *handler) key(table, text string) ([]byte, error) {
	raw, err := h.topology.Parse(table, text, nil)
	if err != nil {
		return nil, err
	}
	if raw.Key == nil {
		return []byte{}, nil
	}
	return raw.Key, nil
}

// later returns the larger of two keys.
func later(a, b []byte) []byte {
	if bytes.Compare(a, b) > 0 {
		return a
	}
	return b
}
